"""Environments on this node: each is built once, held while it is used, and swept when nobody has used it for long.

A folder is whole when it has its mark. Whoever uses one holds a shared lock on the file beside it, whoever builds or
removes one an exclusive one; the kernel lets go of both when a process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import msgspec

import mainspring
from mainspring.compute.adapters import uv

UNUSED_S = 30 * 86_400.0
"""An environment that was not used for so long is removed when the next one is built."""

_WHOLE = "mainspring-whole"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SPECIFIER = re.compile(r"\[[^\]]*\]")


class Environment(msgspec.Struct, frozen=True):
    """One on this node.

    Attributes
    ----------
    name : str
        Of its folder.
    size_bytes : int
        What its files measure; with hard links to uv's cache the disk holds less.
    used_at : float
        When it was used last; 0.0: it is not whole.
    busy : bool
        It is being built or used.
    """

    name: str
    size_bytes: int
    used_at: float
    busy: bool


def list_constraints() -> list[str]:
    """Return what Mainspring and what it requires ask of their requirements.

    Packages of an environment come before those of this interpreter, so they must suit them.
    """
    return sorted({line for each in _list_base() for line in _list_requirements(each)})


def open_environment(folder: Path, locked: str) -> Path:
    """Build an environment, or find that it was built, and hold it as long as this process lives.

    Parameters
    ----------
    folder : Path
        Of all environments of this node.
    locked : str
        Of `mainspring.compute.adapters.uv.lock`.

    Returns
    -------
    Path
        Its interpreter. Besides what is locked it finds Mainspring and what that requires, as they are installed for
        this interpreter, and nothing else.

    Raises
    ------
    Failed
        ENV-003 when it cannot be built.
    NotFound
        ENV-004 without uv.

    Notes
    -----
    Guarantees: of processes that ask at once one builds; a folder that a killed one left is built anew.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = folder / _name(locked)
    lock = _lock(place, fcntl.LOCK_SH)
    if not (place / _WHOLE).exists():
        os.close(lock)
        sweep_environments(folder, UNUSED_S)
        lock = _lock(place, fcntl.LOCK_EX)
        if not (place / _WHOLE).exists():
            shutil.rmtree(place, ignore_errors=True)
            uv.build(locked, place)
            _lay_base(place)
            (place / _WHOLE).touch()
        fcntl.flock(lock, fcntl.LOCK_SH)
    os.utime(place / _WHOLE)
    os.set_inheritable(lock, True)
    return place / "bin" / "python"


def list_environments(folder: Path) -> list[Environment]:
    """Return what lies on this node."""
    found = []
    for place in _list_places(folder):
        with _try_lock(place) as free:
            found.append(Environment(place.name, _measure(place), _used_at(place), not free))
    return found


def sweep_environments(folder: Path, unused_s: float, *, dry_run: bool = False) -> list[Environment]:
    """Remove what was not used for so long, and what is not whole; leave what is being built or used.

    Returns
    -------
    list of Environment
        What was removed, or would be.
    """
    removed = []
    for place in _list_places(folder):
        with _try_lock(place) as free:
            used_at = _used_at(place)
            if not free or time.time() - used_at < unused_s:
                continue
            removed.append(Environment(place.name, _measure(place), used_at, busy=False))
            if not dry_run:
                (place / _WHOLE).unlink(missing_ok=True)  # first: half of one is never used
                shutil.rmtree(place, ignore_errors=True)
                _lock_file(place).unlink(missing_ok=True)
    return removed


def _name(locked: str) -> str:
    """Name the folder by all that it is made of: the lock, this interpreter, Mainspring and its requirements."""
    parts = [locked, sys.executable, sys.version, str(Path(mainspring.__file__).parent)]
    parts += sorted(f"{each.name} {each.version} {each.locate_file('')}" for each in _list_base())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _list_base() -> list[Distribution]:
    """Return Mainspring's own distribution and all that it requires, as installed for this interpreter."""
    wanted, found = ["mainspring"], dict[str, Distribution]()
    while wanted:
        name = wanted.pop().lower().replace("_", "-").replace(".", "-")
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # its marker is for another platform or Python
            continue
        for line in _list_requirements(found[name]):
            match = _NAME.match(line)
            assert match is not None
            wanted.append(match[0])
    return list(found.values())


def _list_requirements(found: Distribution) -> list[str]:
    lines = (line.replace("'", '"') for line in found.requires or ())
    return [_SPECIFIER.sub("", line, count=1) for line in lines if "extra ==" not in line]


def _lay_base(place: Path) -> None:
    """Link Mainspring and what it requires into a folder behind the environment's own packages."""
    (site,) = (place / "lib").glob("python*/site-packages")
    base = place / "base" / "site-packages"  # under that name modules count as installed
    base.mkdir(parents=True)
    (base / "mainspring").symlink_to(Path(mainspring.__file__).parent)
    for each in _list_base():
        if each.name.lower() == "mainspring":
            _write_metadata(each, base)
        else:
            _link(each, base)
    (site / "mainspring-base.pth").write_text(f"{base}\n")


def _write_metadata(found: Distribution, base: Path) -> None:
    folder = base / f"mainspring-{found.version}.dist-info"
    folder.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        (folder / name).write_text(found.read_text(name) or "")


def _link(found: Distribution, base: Path) -> None:
    tops = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
    for top in tops:
        link = base / top
        if not top.endswith(".pth") and not link.is_symlink():
            link.symlink_to(Path(str(found.locate_file(top))).absolute())


def _list_places(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = {each.name.removesuffix(".lock") for each in folder.iterdir()}
    return [folder / name for name in sorted(names)]


def _lock_file(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def _lock(place: Path, how: int) -> int:
    """Lock an environment; a file that was removed before it was locked is nobody's lock."""
    path = _lock_file(place)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how)
            if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


@contextlib.contextmanager
def _try_lock(place: Path) -> Iterator[bool]:
    """Hold an environment for oneself; tell whether nobody else does."""
    try:
        handle = _lock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(handle)


def _used_at(place: Path) -> float:
    try:
        return (place / _WHOLE).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _measure(place: Path) -> int:
    return sum(file.lstat().st_size for file in place.rglob("*") if not file.is_symlink() and file.is_file())
