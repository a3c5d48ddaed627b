"""Paths that others name: kept under their root."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

from mainspring.domain.errors import Invalid

MOST_PATH_BYTES = 1024
MOST_PART_BYTES = 255
"""Longest name that common file systems keep."""

_ADDRESS = re.compile(r"file:|[a-z]:|[a-z][a-z0-9+.-]*:/", re.IGNORECASE)


def safe_join(root: Path, relative: str) -> Path:
    """Join a path that somebody else named to a root that it must not leave.

    Parameters
    ----------
    root : Path
        Absolute folder.
    relative : str
        POSIX path below it, such as ``sub/file.bin``.

    Returns
    -------
    Path
        ``root / relative``; it need not exist.

    Raises
    ------
    Invalid
        HOME-011 when the path is empty or absolute, holds NUL, a backslash, a drive, a colon, an
        empty part, ``.`` or ``..``, or leads out of the root through a symbolic link.

    Examples
    --------
    >>> safe_join(Path("/srv"), "a/b").as_posix()
    '/srv/a/b'
    """
    joined = root.joinpath(*check_relative(relative))
    if not joined.resolve().is_relative_to(root.resolve()):
        raise Invalid("HOME-011", f"{relative!r} leads out of {root} through a link", path=relative)
    return joined


def check_relative(relative: str) -> list[str]:
    """Return the parts of a plain relative path; nothing is touched.

    Parameters
    ----------
    relative : str
        POSIX path that somebody else named. It is refused or taken as it is, never cleaned or decoded.

    Raises
    ------
    Invalid
        HOME-011 when it is empty or absolute, or holds NUL, a backslash, a drive, a colon, an empty
        part, ``.`` or ``..``.

    Examples
    --------
    >>> check_relative("sub/file.bin")
    ['sub', 'file.bin']
    """
    parts = relative.split("/")
    if "\0" in relative or "\\" in relative or ":" in relative or any(part in {"", ".", ".."} for part in parts):
        raise Invalid("HOME-011", f"{relative!r} is not a plain relative path", path=relative)
    return parts


def check_artifact_path(path: str) -> str:
    """Return the path of an artifact that a client named; it is refused or taken as it is, never cleaned.

    Parameters
    ----------
    path : str
        POSIX path below the folder of a run, model or version, as the server has decoded it, once.

    Raises
    ------
    Invalid
        FILE-001 when it is empty, absolute, an address or too long; when it holds a backslash, NUL or
        another character that is not printed, ``#`` or ``;``, an empty part, ``.`` or ``..``; or when
        it comes to one of these once more decoding or compatible characters are taken for what they look like.

    Notes
    -----
    Guarantees: what comes back names the same file for every reader that decodes it again, folds
    compatible characters, or writes it to a disk below a folder.

    Examples
    --------
    >>> check_artifact_path("plots/roc 100%.png")
    'plots/roc 100%.png'
    """
    fault = _find_fault(path)
    seen = path
    while not fault and (decoded := unquote(seen)) != seen:
        seen = decoded
        fault = _find_fault(seen)
    fault = fault or _find_fault(unicodedata.normalize("NFKC", seen), folded=True)
    if fault:
        raise Invalid("FILE-001", f"Invalid path: {path[:200]!r} {fault}", path=path[:200])
    return path


def _find_fault(path: str, *, folded: bool = False) -> str:
    """Return what is wrong with a path, as the rest of a sentence; empty: nothing."""
    parts = path.split("/")
    size_bytes = len(path.encode("utf-8", "surrogatepass"))
    faults = {
        "is empty": not path,
        "is absolute": path.startswith("/"),
        "is an address": _ADDRESS.match(path) is not None,
        "holds a backslash": "\\" in path,
        "holds a character that is not printed": not folded and not (path.isprintable() and "\ufffd" not in path),
        "holds '#' or ';'": not folded and ("#" in path or ";" in path),
        "leads out of its folder": ".." in parts,
        "holds an empty part or '.'": "" in parts or "." in parts,
        f"is longer than {MOST_PATH_BYTES:,} bytes": not folded and size_bytes > MOST_PATH_BYTES,
        f"holds a name of more than {MOST_PART_BYTES} bytes": not folded
        and any(len(part.encode("utf-8", "surrogatepass")) > MOST_PART_BYTES for part in parts),
    }
    return next((fault for fault, is_there in faults.items() if is_there), "")
