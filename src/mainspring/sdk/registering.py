"""Registering a model: package it, find where it comes from, record the version."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import mainspring
from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.messages import GetRun, ListReads, PutVersion
from mainspring.domain.records import Fingerprint, Run, Version
from mainspring.domain.references import Reference, parse_reference
from mainspring.pipelines.calls import by_value
from mainspring.pipelines.project import Project
from mainspring.sdk.blobs import store_plainly
from mainspring.sdk.client import Client
from mainspring.sdk.context import active_run
from mainspring.sdk.datasets import Dataset
from mainspring.sdk.derived import find_derived
from mainspring.sdk.exposures import seen_columns
from mainspring.sdk.lineage import current_client
from mainspring.sdk.origins import find_maker

if TYPE_CHECKING:
    from mainspring.models.folders import Keep
    from mainspring.models.package import Package

_GIT_PATIENCE_S = 5.0


class ParityWarning(UserWarning):
    """MODEL-003: the ONNX form of a model answers differently and was left out."""


def register_model(
    obj: Any,
    name: str,
    example: Any,
    *,
    goal: Any,
    features: tuple[str, ...],
    allow_code: bool,
    origin: Version | None = None,
) -> Version:
    """Record a version of a model; `mainspring.sdk.models.register` tells all."""
    from mainspring.models.package import hide_columns

    if parse_reference(name, "model") != Reference(name):
        raise Invalid("DATA-001", f"{name!r} is a reference, not a name", reference=name)
    client, active = current_client(), active_run()
    maker = _find_maker_of(client, origin) if origin is not None else find_maker(obj)
    trained_on = _list_trained_on(client, [maker, active.run if active is not None else None], example)
    package = _make_package(client, obj, example, trained_on, allow_code=allow_code)
    sensitive = {name for each in trained_on for name in (each.details or {}).get("sealed") or ()} | seen_columns()
    sensitive |= _find_derived(example, [each.name for each in package.signature.inputs])
    package = hide_columns(package, sensitive)
    if not package.parity.passed and package.format != "sealed":
        text = f"MODEL-003: {name} keeps its native form ({package.format}) only: {package.parity}"
        warnings.warn(text, ParityWarning, stacklevel=3)
    blobs = store_plainly(client.blobs)
    manifest = {each: blobs.put(content) for each, content in sorted(package.files.items())}
    made_by = maker or (active.run if active is not None else None)
    version: Version = client.ask(
        PutVersion(
            kind="model",
            name=name,
            digest=hashlib.sha256(msgspec.json.encode(manifest, order="sorted")).hexdigest(),
            manifest=manifest,
            details={
                **_describe_package(package),
                "goal": goal,
                "features": list(features),
                "sensitive": sorted(sensitive),
                "params": {**package.params, **(made_by.params if made_by is not None else {})},
                "code": _describe_code(made_by),
                "made_by": made_by.id if made_by is not None else None,
                "trained_on": [each.reference for each in trained_on],
                **({"converted": origin.reference} if origin is not None else {}),
            },
            run_id=active.run.id if active is not None else None,
            inputs=tuple(each.id for each in trained_on),
        )
    )
    if active is not None and active.progress is not None:
        known = version.run_id != active.run.id
        remark = f"{package.format}, {package.size_bytes:,} bytes{'; the same content as before' if known else ''}"
        active.progress.tell("register", f"{'HIT    ' if known else ''}{version.reference}", remark)
    return version


def _find_maker_of(client: Client, version: Version) -> Run | None:
    """Return the run that logged a version's files."""
    run_id = (version.details or {}).get("made_by")
    return client.ask(GetRun(id=run_id)) if run_id else None


def _list_trained_on(client: Client, runs: Iterable[Run | None], example: Any) -> list[Version]:
    """Return what the trees of the runs have read, and the example's dataset."""
    found: dict[str, Version] = {}
    for run in runs:
        if run is not None:
            found |= {each.id: each for each in client.ask(ListReads(run_id=run.id))}
    if isinstance(example, Dataset):
        found[example.version.id] = example.version
    return list(found.values())


def _make_package(client: Client, obj: Any, example: Any, trained_on: list[Version], *, allow_code: bool) -> Package:
    from mainspring.models.folders import package_folder
    from mainspring.models.package import build_package
    from mainspring.models.parity import MAX_ROWS
    from mainspring.models.sealed import seal_package

    rows = example.polars() if isinstance(example, Dataset) else example

    def keep(model: Any, given: Any) -> Package:
        with by_value(Project().own_modules):
            return seal_package(model, given, client.home_seal)

    if isinstance(obj, Mapping):
        return package_folder(obj, example=rows, allow_code=allow_code, keep=keep)
    if isinstance(obj, str | os.PathLike):
        return _package_path(Path(obj), rows, allow_code=allow_code, keep=keep)
    if rows is None:
        raise Invalid("MODEL-008", "a model is registered without an example")
    if hasattr(rows, "gather_every"):
        rows = rows.gather_every(max(1, len(rows) // MAX_ROWS))
    try:
        return build_package(obj, rows, proof=lambda names: _find_rows(trained_on, names))
    except Invalid as fault:
        if fault.code != "MODEL-002" or not allow_code:
            raise
    return keep(obj, rows)


def _package_path(path: Path, rows: Any, *, allow_code: bool, keep: Keep) -> Package:
    """Package a folder with an MLmodel file, or a file of ONNX."""
    from mainspring.models.folders import list_files, package_folder, package_graph

    if path.is_dir():
        return package_folder(list_files(path), example=rows, allow_code=allow_code, keep=keep)
    return package_graph(path, rows)


def _find_derived(example: Any, names: list[str]) -> set[str]:
    """Return the inputs that were made of sensitive columns; those of a dataset were judged when it was written."""
    import polars as pl

    from mainspring.data.frames import make_frame

    if example is None or isinstance(example, Dataset):
        return set()
    frame = pl.DataFrame(dict(example)) if isinstance(example, Mapping) else make_frame(example)
    return find_derived(frame.select(names))


def _find_rows(trained_on: list[Version], names: tuple[str, ...]) -> Any:
    """Return the rows of the largest dataset of training that has all the features."""
    fitting = []
    for version in trained_on:
        try:
            dataset = Dataset.of(version)
            if set(names) <= set(dataset.schema):
                fitting.append((dataset.rows, dataset))
        except (MainspringError, OSError):  # its files may be gone; the example still proves
            continue
    if not fitting:
        return None
    _, largest = max(fitting, key=lambda each: each[0])
    return largest.scan().select(*names).polars()


def _describe_package(package: Package) -> dict[str, Any]:
    return {
        "signature": msgspec.to_builtins(package.signature),
        "format": package.format,
        "parity": msgspec.to_builtins(package.parity),
        "size_bytes": package.size_bytes,
        "latency_ms": package.latency_ms,
        "environment": {**package.environment, "mainspring": _find_own_version()},
    }


def _describe_code(run: Run | None) -> dict[str, Any]:
    """Return the commit of the working folder, whether files differ from it, and the run's code."""
    found: dict[str, Any] = {"commit": _ask_git("rev-parse", "HEAD")}
    if found["commit"]:
        found["changed"] = bool(_ask_git("status", "--porcelain", "--untracked-files=no"))
    if run is not None and isinstance(run.fingerprint, Fingerprint):
        code = msgspec.json.encode(run.fingerprint.code, order="sorted")
        found["fingerprint"] = hashlib.sha256(code).hexdigest()
    return found


def _ask_git(*words: str) -> str | None:
    command = ["git", "-C", str(Path.cwd()), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _find_own_version() -> str:
    try:
        return importlib.metadata.version("mainspring")
    except importlib.metadata.PackageNotFoundError:
        return mainspring.__version__
