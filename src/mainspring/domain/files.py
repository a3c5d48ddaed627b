"""Messages about files of runs and logged models: rows of path and digest over blobs."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command, Count, Nothing, Time
from mainspring.domain.transfers import Held

MOST_FILES = 10_000
"""So many files may one command put."""


class File(msgspec.Struct, frozen=True):
    """A file of a run or of a logged model.

    Attributes
    ----------
    path : str
        POSIX path below the run's or model's own folder, such as ``plots/roc.png``.
    digest : str
        SHA-256 of its bytes, the name of the blob.
    size_bytes : int
        Its length.
    time : float
        When it was put, in seconds since 1970 UTC; nobody gives it.
    """

    path: str
    digest: str
    size_bytes: Count
    time: Time = 0.0


class ListFiles(Command):
    """The files of a run or of a logged model, by path; with `below` only those inside one folder."""

    run_id: str = ""
    model_id: str = ""
    below: str = ""


class FindFile(Command):
    """One file of a run or of a logged model."""

    path: str
    run_id: str = ""
    model_id: str = ""


class OfferFile(Command):
    """Ask whether a file of a length may be put, before its bytes travel; nothing is written."""

    path: str
    run_id: str = ""
    model_id: str = ""
    size_bytes: Count = 0


class PutFiles(Command):
    """Give a run or a logged model files whose blobs the caller has uploaded or may read."""

    files: list[File]
    run_id: str = ""
    model_id: str = ""


class RemoveFiles(Command):
    """Take a file, or a folder with all below it, from a run or a logged model; answers with what it took."""

    path: str
    run_id: str = ""
    model_id: str = ""


ANSWERS: dict[type[Command], Any] = {
    ListFiles: list[File],
    FindFile: File,
    OfferFile: Held,
    PutFiles: Nothing,
    RemoveFiles: list[File],
}
