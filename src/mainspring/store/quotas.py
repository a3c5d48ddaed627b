"""Quotas of tenants in the record."""

from __future__ import annotations

from mainspring.domain.quotas import Quota
from mainspring.domain.states import SESSION
from mainspring.store.rows import add
from mainspring.store.statements import Statement
from mainspring.store.tables import quotas, runs
from mainspring.store.words import Connection, bindparam, delete, literal_column, or_, select, update

_FIELDS = tuple(name for name in Quota.__struct_fields__ if name in quotas.c)
_ALL = Statement(select(*(quotas.c[name] for name in _FIELDS)).order_by(quotas.c.tenant))
_SESSIONS = Statement(
    select(runs.c.project, runs.c.principal).where(
        runs.c.kind == literal_column(f"'{SESSION}'"),
        or_(*(runs.c.state == literal_column(f"'{state}'") for state in ("queued", "starting", "running"))),
    )
)
_REMOVE = Statement(delete(quotas).where(quotas.c.tenant == bindparam("tenant_")))

_COUNT_LOSS = Statement(
    update(quotas)
    .where(quotas.c.tenant == bindparam("tenant_"))
    .values(preempted=quotas.c.preempted + 1, lost_gpu_s=quotas.c.lost_gpu_s + bindparam("lost"))
)


def list_quotas(connection: Connection) -> list[Quota]:
    """Return what was agreed, by tenant."""
    return [Quota(**dict(zip(_FIELDS, row, strict=True))) for row in _ALL.all(connection)]


def put_quota(connection: Connection, quota: Quota) -> None:
    """Keep what was agreed about a tenant, in place of what was before."""
    remove_quota(connection, quota.tenant)
    add(connection, quotas, quota)


def remove_quota(connection: Connection, tenant: str) -> None:
    """Forget what was agreed about a tenant."""
    _REMOVE.run(connection, {"tenant_": tenant})


def count_loss(connection: Connection, tenant: str, lost_gpu_s: float) -> None:
    """Count for a tenant with an agreement that one of its runs gave way."""
    _COUNT_LOSS.run_later(connection, {"tenant_": tenant, "lost": lost_gpu_s})


def list_sessions(connection: Connection) -> list[tuple[str, str]]:
    """Return project and principal of each session that has not ended."""
    return [(str(project), str(principal)) for project, principal in _SESSIONS.all(connection)]
