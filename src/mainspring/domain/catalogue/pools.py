"""Pools and their machines."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "POOL-001",
        "not_found",
        "no such pool",
        "no pool of this home has this name",
        "mainspring pools",
    ),
    Entry(
        "POOL-002",
        "invalid",
        "not a pool",
        "a pool has a short name of its own and the URL of an engine, and `local` is there by itself",
        "mainspring pools add lab slurm://?partition=gpu",
    ),
    Entry(
        "POOL-003",
        "invalid",
        "a secret in the URL of a pool",
        "whoever may look at pools reads it; engines find their credentials where their own programs keep them",
        "leave it out of the URL",
    ),
    Entry(
        "POOL-004",
        "conflict",
        "a pool that is in use",
        "runs hold places there or wait for it",
        "mainspring nodes drain POOL/NODE and wait for their end, or repeat with --force: then they are lost",
    ),
    Entry(
        "POOL-005",
        "failed",
        "a run whose pool was removed",
        "it asks for a pool by name, and there is no pool of that name any more",
        "mainspring runs retry RUN once the pool is back, or call it again with another pool=",
    ),
    Entry(
        "POOL-006",
        "not_found",
        "no such machine",
        "no pool that answers has a machine of this name",
        "mainspring nodes",
    ),
    Entry(
        "POOL-007",
        "unavailable",
        "a pool that does not answer",
        "its engine cannot be asked now; what runs there may go on",
        "mainspring pools show POOL",
    ),
    Entry(
        "POOL-008",
        "denied",
        "something sensitive would leave its site",
        "what reads sensitive data, or what was made of it, runs on this machine and in pools that stand in the zone "
        "of the home and are trusted with it; of whom nothing is said nothing is believed",
        "where it is so: mainspring pools add POOL URL --zone ZONE --trust sensitive",
    ),
    Entry(
        "POOL-009",
        "denied",
        "a pool of somebody else",
        "a pool with an owner takes runs of that tenant alone",
        "mainspring pools show POOL",
    ),
)
