"""What processes knew of themselves, by the digest of their words."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from mainspring.store.statements import Statement, add_once
from mainspring.store.tables import provenances
from mainspring.store.words import Connection, bindparam, select

_ADD = Statement(add_once(provenances), ("project", "digest", "body", "created_at"))
_GET = Statement(
    select(provenances.c.body).where(
        provenances.c.project == bindparam("project_"), provenances.c.digest == bindparam("digest_")
    )
)
_encoder = msgspec.json.Encoder(order="deterministic")


def put_body(connection: Connection, project: str, body: Any, time: float) -> str:
    """Keep a struct; equal ones are one row.

    Returns
    -------
    str
        SHA-256 of its canonical JSON.
    """
    digest = hashlib.sha256(_encoder.encode(body)).hexdigest()
    values = {"project": project, "digest": digest, "body": msgspec.to_builtins(body), "created_at": time}
    _ADD.run_later(connection, values)
    return digest


def get_body(connection: Connection, project: str, digest: str) -> Any:
    """Return what was kept under a digest, as JSON; None when nothing was."""
    row = _GET.first(connection, project_=project, digest_=digest)
    return None if row is None else row[0]
