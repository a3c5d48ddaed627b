"""Quotas of tenants."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "QUOTA-001",
        "invalid",
        "not a tenant",
        "a tenant is a project, or a project and a user with one stroke between them; being paths, tenants make a tree "
        "and never a circle",
        "mainspring quotas set air/anna --weight 2",
    ),
    Entry(
        "QUOTA-002",
        "invalid",
        "a quota that nobody could use",
        "a weight, a limit and a budget are greater than 0, and no more is guaranteed than the limit allows",
        "mainspring quotas set air --guarantee gpus=2 --limit gpus=4",
    ),
    Entry(
        "QUOTA-003",
        "not_found",
        "no such quota",
        "nothing was agreed about this tenant",
        "mainspring quotas",
    ),
    Entry(
        "QUOTA-006",
        "conflict",
        "as many sessions as were agreed",
        "shells and notebooks hold what they asked for while nobody works in them, so a tenant has so many at once",
        "end one that mainspring runs 'kind = session' shows, or mainspring quotas set air/anna --limit sessions=4",
    ),
)
