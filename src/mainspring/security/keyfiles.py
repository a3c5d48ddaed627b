"""Secret files that are made once, by whoever comes first."""

from __future__ import annotations

import os
from pathlib import Path

from mainspring.domain.errors import Denied


def read_or_make(path: Path, size_bytes: int = 32) -> bytes:
    """Return the secret of a file, making it from the system's randomness when it is missing.

    Parameters
    ----------
    path : Path
        Absolute; its folder is made with mode 0700.
    size_bytes : int, default 32
        Random bytes, > 0; the file holds them in hexadecimal.

    Returns
    -------
    bytes
        The secret, `size_bytes` long.

    Raises
    ------
    Denied
        HOME-008 when others could have read or written the file.

    Notes
    -----
    Guarantees: of processes that race, all return the same secret; the file appears whole, with
    mode 0600, or not at all; it is on the disk on return.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, os.urandom(size_bytes).hex().encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        os.link(draft, path)  # fails when another process was first; a rename would replace its secret
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
    _sync(path.parent)  # what is sealed with a key must not outlive it
    return _read(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> bytes:
    mode = path.stat().st_mode
    if mode & 0o077:
        raise Denied(
            "HOME-008",
            f"{path} has mode {mode & 0o777:04o}",
            why="a secret that others may read is no secret",
            fix=f"chmod 600 {path}, or remove it to get a new one",
        )
    return bytes.fromhex(path.read_text("ascii"))
