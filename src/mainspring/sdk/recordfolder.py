"""A folder that holds a record for others: one line of JSON for each run and model, its points, its files.

The layout stands in ``docs/guide/export.md``. Every line is told in the words of MLflow's protocol, so a folder is
imported as a server is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.files import File
from mainspring.sdk.parcels import Parcel, Point
from mainspring.security.paths import check_relative, safe_join

HEAD = "mainspring-export.json"
"""By this file a folder is known."""

FORMAT = 1

POINTS = "metrics.jsonl"
"""Beside the line of a run: one line for each of its points."""

LINES = ("run.json", "model.json", "version.json")
"""Names of the files that hold a line about a run, a model, a version."""

_MOST_LINE_BYTES = 64 * 1024 * 1024


class RecordFolder:
    """Reads an exported folder.

    Parameters
    ----------
    root : Path
        The folder.

    Raises
    ------
    NotFound
        IMPORT-007 when it is none that was exported.
    Invalid
        IMPORT-008 when its head cannot be read, or is of a later format.

    Notes
    -----
    Guarantees: a file is given only if it has the SHA-256 that its line tells, and lies below the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.place = self.root.as_uri()
        if not (self.root / HEAD).is_file():
            raise NotFound("IMPORT-007", f"{root} has no {HEAD}", path=str(root))
        self._uri, self._found = "", dict[str, File]()
        self._run_id, self._series = "", dict[str, list[dict[str, Any]]]()
        found = self._read(self.root / HEAD).get("format")
        if found != FORMAT:
            raise Invalid("IMPORT-008", f"{root} has format {found!r:.20}, {FORMAT} is known", path=str(root))

    def list_experiments(self) -> Iterator[dict[str, Any]]:
        """Yield the experiments."""
        return self._list("experiments/*/experiment.json")

    def list_runs(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Yield the runs of an experiment."""
        return self._list(f"experiments/{quote(experiment_id, safe='')}/runs/*/run.json")

    def list_models(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Yield the logged models of an experiment."""
        return self._list(f"experiments/{quote(experiment_id, safe='')}/logged-models/*/model.json")

    def list_history(self, run_id: str, key: str) -> Iterator[dict[str, Any]]:
        """Yield the points of a series; those of one run are held in memory."""
        if run_id != self._run_id:
            self._run_id, self._series = run_id, {}
            for path in self.root.glob(f"experiments/*/runs/{quote(run_id, safe='')}/{POINTS}"):
                for each in self._list_points(path):
                    self._series.setdefault(each["key"], []).append(each)
        return iter(self._series.get(key, ()))

    def list_names(self) -> Iterator[dict[str, Any]]:
        """Yield the registered models."""
        return self._list("registered-models/*/model.json")

    def list_versions(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the versions of a registered model."""
        return self._list(f"{place_name(name)}/*/version.json")

    def list_files(self, uri: str) -> Iterator[tuple[str, int]]:
        """Yield path and length of the files of a run or model, as its line tells them."""
        return ((each.path, each.size_bytes) for each in self._find_files(uri).values())

    def open_file(self, uri: str, path: str) -> BinaryIO:
        """Return a file.

        Raises
        ------
        Invalid
            IMPORT-008 when it is not there, or is not what its line tells; HOME-011 for a path out of the folder.
        """
        told = self._find_files(uri).get(path)
        if told is None:
            raise Invalid("IMPORT-008", f"{uri} has no file {path[:200]!r}", path=path[:200])
        return self._open(uri, told)

    def read_parcel(self, folder: str, name: str) -> Parcel | None:
        """Return what lies in a folder of this one, its files held against their SHA-256; None: nothing whole."""
        try:
            told = self._read(safe_join(self.root, f"{folder}/{name}"))
            uri, files = told.pop("files_at"), _list_files(told)
            for each in files.values():
                self._open(uri, each).close()
            points: list[Point] = [
                (each["key"], each["step"], each["timestamp"] / 1000, float(each["value"]))
                for each in self._list_points(safe_join(self.root, f"{folder}/{POINTS}"))
            ]
        except (Invalid, KeyError, TypeError, ValueError, FileNotFoundError):  # it is written anew
            return None
        del told["files"]
        told.get("info", {}).pop("artifact_uri", None)
        told.get("content", {}).pop("uri", None)
        return Parcel(told.pop("id"), told, points, list(files.values()))

    def _list(self, pattern: str) -> Iterator[dict[str, Any]]:
        return map(self._read, sorted(self.root.glob(pattern)))

    def _list_points(self, path: Path) -> Iterator[dict[str, Any]]:
        if path.exists():
            with path.open(encoding="utf-8") as lines:
                yield from map(json.loads, lines)

    def _find_files(self, uri: str) -> Mapping[str, File]:
        """Return the files below an address of this folder, by path; the line that tells them lies beside them."""
        if uri != self._uri:
            folder = safe_join(self.root, "/".join(check_relative(uri)[:-1]))
            line = next((folder / name for name in LINES if (folder / name).is_file()), None)
            if line is None:
                raise Invalid("IMPORT-008", f"nothing tells of the files at {uri[:200]!r}", path=uri[:200])
            self._uri, self._found = uri, _list_files(self._read(line))
        return self._found

    def _open(self, uri: str, told: File) -> BinaryIO:
        path = safe_join(self.root, f"{uri}/{told.path}")
        if not path.is_file():
            raise Invalid("IMPORT-008", f"{path} is not there", path=str(path))
        content = path.open("rb")
        if hashlib.file_digest(content, "sha256").hexdigest() != told.digest:
            size_bytes = content.tell()
            content.close()
            what = f"{path} is cut or changed: {size_bytes:,} bytes of another SHA-256, {told.size_bytes:,} were told"
            raise Invalid("IMPORT-008", what, path=str(path))
        content.seek(0)
        return content

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            with path.open("rb") as content:
                told = json.loads(content.read(_MOST_LINE_BYTES))
        except ValueError as fault:
            raise Invalid("IMPORT-008", f"{path} is no JSON: {fault}", path=str(path)) from None
        if not isinstance(told, dict):
            raise Invalid("IMPORT-008", f"{path} holds no object of JSON", path=str(path))
        return told


def _list_files(told: dict[str, Any]) -> dict[str, File]:
    return {each["path"]: File(each["path"], each["sha256"], each["size_bytes"]) for each in told["files"]}


def place_name(name: str) -> str:
    """Return the folder of a registered model.

    Examples
    --------
    >>> place_name("delays of arrivals")
    'registered-models/delays%20of%20arrivals'
    """
    return f"registered-models/{quote(name, safe='')}"
