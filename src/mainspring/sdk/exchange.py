"""Models between records: bytes, evidence and a stub of lineage go along, and are held to their digests on arrival."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from mainspring.domain.errors import Denied, Failed
from mainspring.domain.lineage import GetLineage, Lineage
from mainspring.domain.messages import GetVersion, ListVersions, PutVersion
from mainspring.domain.records import Version
from mainspring.sdk.blobs import store_plainly
from mainspring.sdk.client import Client

_MANY = 1_000


def send_model(reference: str, source: Client, target: Client, *, place: str = "") -> Version:
    """Bring a version of a model from one record to another.

    Parameters
    ----------
    reference : str
        At the source.
    source, target : Client
        Clients of the two records.
    place : str
        How the source is called at the target.

    Returns
    -------
    Version
        As the target has it; its number is the target's own. What gates said at the source and what training
        read there stand in its details under ``origin``: they are told, and let nothing through.

    Raises
    ------
    NotFound
        MODEL-001 when the reference names nothing.
    Denied
        MODEL-013 for a model that is code: it is sealed for its own project.
    Failed
        MODEL-052 when a file is not what its digest says, on leaving or on arrival.

    Notes
    -----
    Guarantees: asked again, it sends what is missing and answers with the same version. No part of a model that
    did not arrive whole is registered.
    """
    lineage: Lineage = source.ask(GetLineage("model", reference))
    version, details = lineage.version, dict(lineage.version.details or {})
    if details.get("format") == "sealed":
        raise Denied("MODEL-013", f"{version.reference} is code, sealed with the key of its project")
    _send_files(version, source, target)
    twins = [twin for each in lineage.datasets if (twin := _find_twin(target, each)) is not None]
    details |= {"trained_on": [each.reference for each in twins], "origin": describe_origin(lineage, place)}
    details["made_by"] = None
    arrived: Version = target.ask(
        PutVersion(
            kind="model",
            name=version.name,
            digest=version.digest,
            manifest=version.manifest,
            details=details,
            inputs=tuple(each.id for each in twins),
            description=version.description,
            tags=version.tags,
        )
    )
    found: Version = target.ask(GetVersion("model", arrived.reference))
    if (found.digest, found.manifest) != (version.digest, version.manifest):
        raise Failed("MODEL-052", f"{found.reference} has other files than {version.reference}", model=found.reference)
    return found


def _send_files(version: Version, source: Client, target: Client) -> None:
    blobs = store_plainly(target.blobs)
    for name, digest in version.manifest.items():
        if blobs.exists(digest):
            continue
        path = source.blobs.path(digest)
        with path.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == digest
            if not whole:
                what = (
                    f"{name} of {version.reference} is cut or changed: {path.stat().st_size:,} bytes of another SHA-256"
                )
                raise Failed("MODEL-052", what, model=version.reference)
            file.seek(0)
            stored = blobs.put(file)
        if stored != digest:
            raise Failed("MODEL-052", f"{name} of {version.reference} arrived as {stored}", model=version.reference)


def _find_twin(target: Client, dataset: Version) -> Version | None:
    """Return the version of the same name and content that the target has."""
    found: list[Version] = target.ask(ListVersions("dataset", dataset.name, _MANY))
    return next((each for each in found if each.digest == dataset.digest), None)


def describe_origin(lineage: Lineage, place: str) -> dict[str, Any]:
    """Return what another record is told of where a version comes from: its datasets and what gates said of it."""
    version = lineage.version
    known: dict[str, Any] = (version.details or {}).get("origin") or {}
    return {
        "place": place,
        "project": version.project,
        "reference": version.reference,
        "id": version.id,
        "run_id": version.run_id,
        "datasets": [
            *({"reference": each.reference, "digest": each.digest} for each in lineage.datasets),
            *known.get("datasets", ()),
        ],
        "verdicts": [*map(msgspec.to_builtins, lineage.verdicts), *known.get("verdicts", ())],
    }
