"""Use cases of the audit: it is read here, and checked by whoever reads it."""

from __future__ import annotations

from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import access
from mainspring.domain.access import AuditEntry, Heads
from mainspring.store import audit


@handles(access.ListAudit, action="audit.read", reads=True)
def list_audit(turn: Turn, command: access.ListAudit) -> list[AuditEntry]:
    """Answer with entries after a number, oldest first."""
    return audit.list_entries(turn.connection, command.after, command.limit)


@handles(access.GetAuditHeads, action="audit.read", reads=True)
def get_audit_heads(turn: Turn, command: access.GetAuditHeads) -> Heads:
    """Answer with where the chain ends, as record and home know it."""
    del command
    return Heads(audit.read_head(turn.connection), audit.read_home_head(turn.home.audit_head))
