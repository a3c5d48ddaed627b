"""The file system of the machine, behind the port that tests replace."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from mainspring.domain.errors import Unavailable


class LocalFileSystem:
    """Implements `mainspring.domain.ports.FileSystem` with the operating system's calls."""

    def read(self, path: Path) -> bytes:
        """Return the whole content."""
        return path.read_bytes()

    def write_atomic(self, path: Path, parts: Iterator[bytes]) -> None:
        """Write a file whole or not at all; durable on return."""
        draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
        try:
            with draft.open("xb", buffering=0) as file:
                for part in parts:
                    _write_all(file.fileno(), part)
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        self._sync_folder(path.parent)

    def append(self, path: Path, content: bytes) -> None:
        """Append with one `write`; the content is in the kernel on return."""
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(handle, content)
        finally:
            os.close(handle)
        if written != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def move(self, source: Path, target: Path) -> None:
        """Rename a file over another of the same disk; durable on return."""
        source.replace(target)
        self._sync_folder(target.parent)

    def touch(self, path: Path) -> None:
        """Have a file count as written now."""
        os.utime(path)

    def exists(self, path: Path) -> bool:
        """Tell whether a file or folder is there."""
        return path.exists()

    def remove(self, path: Path) -> None:
        """Remove a file; a missing one is no error."""
        path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, mode 0700; an existing one is no error."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            self._sync_folder(path.parent)

    def _sync_folder(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def write_faults(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into errors that say what helps.

    Parameters
    ----------
    path : Path
        What is written; named in the error.

    Raises
    ------
    Unavailable
        HOME-006 for a full disk or quota, HOME-007 for a place that may not be written.
    """
    try:
        yield
    except OSError as fault:
        code = _CODES.get(fault.errno or 0)
        if code is None:
            raise
        raise Unavailable(code, f"{path}: {fault.strerror}", path=str(path)) from fault


_CODES = {
    errno.ENOSPC: "HOME-006",
    errno.EDQUOT: "HOME-006",
    errno.EROFS: "HOME-007",
    errno.EACCES: "HOME-007",
    errno.EPERM: "HOME-007",
    errno.ENOTDIR: "HOME-007",
    errno.EEXIST: "HOME-007",
}


def _write_all(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]
