"""What is chosen once for a home, at its first use: where its blobs lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mainspring.domain.errors import Conflict, Invalid
from mainspring.domain.home import Home
from mainspring.store.files import LocalFileSystem, write_faults
from mainspring.store.locations import parse_location


def choose_blob_store(root: Path) -> str:
    """Return the URL of a home's object store; empty: its own folder.

    Parameters
    ----------
    root : Path
        The home's folder; it need not exist.

    Returns
    -------
    str
        What the home keeps, else what ``MAINSPRING_BLOBS`` says.

    Raises
    ------
    Conflict
        BLOB-003 when the environment names another place than the home keeps.
    Invalid
        BLOB-001 when the environment names no place at all, HOME-018 when the kept file is none.
    """
    given = os.environ.get("MAINSPRING_BLOBS", "")
    wanted = parse_location(given).url if given else ""
    kept = _read(root / "home.json")
    if kept is None:
        if not wanted or not _has_content(root):
            return wanted
        kept = ""
    if wanted and wanted != kept:
        place = kept or f"the folder {root / 'blobs'}"
        raise Conflict("BLOB-003", f"MAINSPRING_BLOBS is {wanted}, and the home keeps its blobs in {place}")
    return kept


def is_chosen(home: Home) -> bool:
    """Tell whether the home was used before, so that its choices stand."""
    return home.choices.exists()


def keep_choices(home: Home) -> None:
    """Write down what was chosen, for all later uses of the home.

    Raises
    ------
    Unavailable
        HOME-006 or HOME-007 when it cannot be written.
    """
    content = json.dumps({"blobs": home.blob_store}).encode() + b"\n"
    with write_faults(home.choices):
        LocalFileSystem().write_atomic(home.choices, iter([content]))
        home.choices.chmod(0o600)


def _read(path: Path) -> str | None:
    try:
        kept = json.loads(path.read_bytes())["blobs"]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (ValueError, KeyError, TypeError):
        raise Invalid("HOME-018", f"{path} does not say where the blobs lie", fix=f"restore {path}") from None
    return str(kept)


def _has_content(root: Path) -> bool:
    """Tell whether a home of an earlier release keeps blobs or tables in its folder."""
    return (root / "blobs").is_dir() or any((root / "tables").glob("*/_delta_log"))
