"""Quotas of tenants in the record."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from mainspring.domain.quotas import Quota
from mainspring.store.tables import quotas

_COLUMNS = [quotas.c[name] for name in Quota.__struct_fields__]


def list_quotas(connection: Connection) -> list[Quota]:
    """Return what was agreed, by tenant."""
    return [Quota(*row) for row in connection.execute(select(*_COLUMNS).order_by(quotas.c.tenant))]


def put_quota(connection: Connection, quota: Quota) -> None:
    """Keep what was agreed about a tenant, in place of what was before."""
    remove_quota(connection, quota.tenant)
    connection.execute(quotas.insert(), {name: getattr(quota, name) for name in Quota.__struct_fields__})


def remove_quota(connection: Connection, tenant: str) -> None:
    """Forget what was agreed about a tenant."""
    connection.execute(delete(quotas).where(quotas.c.tenant == tenant))
