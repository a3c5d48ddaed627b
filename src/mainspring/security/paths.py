"""Paths that others name: kept under their root."""

from __future__ import annotations

from pathlib import Path

from mainspring.domain.errors import Invalid


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
