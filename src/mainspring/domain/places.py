"""Places of files as MLflow writes them: whose files a path or an address names."""

from __future__ import annotations

import re

import msgspec

from mainspring.domain.errors import Invalid

SCHEME = "mlflow-artifacts:/"

_RUN = re.compile(r"[0-9]+/([0-9a-f]{32})/artifacts(?:/(.*))?", re.DOTALL)
_MODEL = re.compile(r"[0-9]+/models/m-([0-9a-f]{32})/artifacts(?:/(.*))?", re.DOTALL)
_VERSION = re.compile(r"models/([^/]+)/([0-9]{1,18})(?:/(.*))?", re.DOTALL)
_SOURCES = (
    (re.compile(r"runs:/+([0-9a-f]{32})(?:/(.*))?", re.DOTALL), "run"),
    (re.compile(r"models:/+m-([0-9a-f]{32})(?:/(.*))?", re.DOTALL), "model"),
    (re.compile(r"models:/+([^/@]+)/([0-9]{1,18})(?:/(.*))?", re.DOTALL), "version"),
)


class RunPlace(msgspec.Struct, frozen=True):
    """Files of a run; `path` below its folder, empty: all."""

    id: str
    path: str = ""


class ModelPlace(msgspec.Struct, frozen=True):
    """Files of a logged model, by its id without ``m-``."""

    id: str
    path: str = ""


class VersionPlace(msgspec.Struct, frozen=True):
    """Files of a version of a registered model."""

    name: str
    number: int
    path: str = ""


Place = RunPlace | ModelPlace | VersionPlace


def parse_place(path: str) -> Place:
    """Return whose files a path of MLflow's artifacts names.

    Parameters
    ----------
    path : str
        Checked as `mainspring.security.paths.check_artifact_path` does.

    Raises
    ------
    Invalid
        FILE-004 when it is of none of the three forms.

    Notes
    -----
    The experiment's number stands there for clients alone; a run is found by its id.

    Examples
    --------
    >>> parse_place("0/0123456789abcdef0123456789abcdef/artifacts/plots/roc.png").path
    'plots/roc.png'
    >>> parse_place("models/delays/3/MLmodel")
    VersionPlace(name='delays', number=3, path='MLmodel')
    """
    for form, kind in ((_RUN, RunPlace), (_MODEL, ModelPlace)):
        found = form.fullmatch(path)
        if found is not None:
            return kind(found[1], found[2] or "")
    found = _VERSION.fullmatch(path)
    if found is None:
        raise Invalid("FILE-004", f"Invalid path: {path[:200]!r} names no run, logged model or version")
    return VersionPlace(found[1], int(found[2]), found[3] or "")


def parse_source(source: str) -> Place:
    """Return whose files an address of a model names.

    Raises
    ------
    Invalid
        FILE-005 when it is none of this record; FILE-004 as of `parse_place`.

    Examples
    --------
    >>> parse_source("models:/m-0123456789abcdef0123456789abcdef").id
    '0123456789abcdef0123456789abcdef'
    """
    if source.startswith(SCHEME) and not source.startswith(f"{SCHEME}/"):
        return parse_place(source.removeprefix(SCHEME).rstrip("/"))
    for form, kind in _SOURCES:
        found = form.fullmatch(source.rstrip("/"))
        if found is not None and kind == "version":
            return VersionPlace(found[1], int(found[2]), found[3] or "")
        if found is not None:
            return (RunPlace if kind == "run" else ModelPlace)(found[1], found[2] or "")
    raise Invalid("FILE-005", f"Invalid model version source: {source[:200]!r}", source=source[:200])
