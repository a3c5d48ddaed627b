"""What was logged natively, as files: what programs see that know files alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.files import File
from mainspring.domain.tracking import OWN, Artifact
from mainspring.security.paths import check_artifact_path

_ENDINGS = {"png": ".png", "image": ".png", "text": ".txt", "json": ".json", "bytes": ".bin", "plotly": ".plotly.json"}
"""Codecs whose bytes are a file as they are."""


def list_exhibits(artifacts: Iterable[Artifact], read: Callable[[str], bytes]) -> list[File]:
    """Return the files that native artifacts of a run are, by path.

    Parameters
    ----------
    artifacts : iterable of Artifact
        Of one run.
    read : callable
        Digest -> bytes, for the lists of files that paths were stored as.

    Returns
    -------
    list of File
        A name that was logged once is a file, or a folder; one that was logged at several steps is a
        folder with a file for each. Tables, arrays and pickles are left out, and so is what has no
        path that every reader understands.
    """
    by_name: dict[str, list[Artifact]] = {}
    for each in artifacts:
        if not each.name.startswith(OWN):
            by_name.setdefault(each.name, []).append(each)
    found = {}
    for name, logged in by_name.items():
        for each in logged:
            for file in _list_files(each, name if len(logged) == 1 else f"{name}/{each.step}", read):
                if _is_plain(file.path):
                    found[file.path] = file
    return [found[path] for path in sorted(found)]


def _list_files(artifact: Artifact, path: str, read: Callable[[str], bytes]) -> Iterable[File]:
    value = artifact.value
    if value.codec in _ENDINGS:
        ending = "" if PurePosixPath(path).suffix else _ENDINGS[value.codec]
        yield File(path + ending, value.digest, value.size_bytes, artifact.time)
    if value.codec != "path":
        return
    try:
        body = json.loads(read(value.digest))
    except (NotFound, Invalid, ValueError):  # gone, damaged or sealed: then nobody can tell what files there are
        return
    ending = PurePosixPath(body["name"]).suffix
    for relative, (digest, size_bytes, *_) in body["files"].items():
        place = f"{path}/{relative}" if relative else path + ("" if PurePosixPath(path).suffix else ending)
        yield File(place, digest, size_bytes, artifact.time)


def _is_plain(path: str) -> bool:
    try:
        check_artifact_path(path)
    except Invalid:
        return False
    return True
