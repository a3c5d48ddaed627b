"""A disk that has no room after a number of writes: of this process, below one folder."""

import errno
import os
import sys
from functools import cache
from pathlib import Path

_disks: list["Disk"] = []


class Disk:
    """Counts what this process writes below a folder; after `room` of it, every further one fails as on a full disk.

    What is counted: the making of files and folders, renames, and calls of `os.write`, of which the
    first that fails leaves half of its bytes. None: there is room for all.
    """

    def __init__(self, folder: Path, monkeypatch):
        self.folder = str(folder)
        self.room = None
        self.count = 0
        self.first = ""
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)
        _listen()
        monkeypatch.setattr(sys.modules[__name__], "_disks", [self])

    def fill(self, room):
        """Leave room for so many writes."""
        self.count, self.room, self.first = 0, room, ""

    def spend(self, what):
        """Count a write; tell whether there was room."""
        self.count += 1
        if self.room is None or self.count <= self.room:
            return True
        self.first = self.first or what
        return False

    def write(self, handle, content):
        try:
            path = os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115 - no file, often
        except OSError:
            path = ""
        if not path.startswith(self.folder):
            return self._write(handle, content)
        half = bool(not self.first)
        if self.spend(f"write {path}"):
            return self._write(handle, content)
        if half and len(content) > 1:
            return self._write(handle, memoryview(content)[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


@cache
def _listen():
    sys.addaudithook(_hear)


def _hear(event, arguments):
    """Hear of what Python is about to do to the file system; hooks cannot be taken back."""
    disk = _disks[0] if _disks else None
    if disk is None or disk.room is None or event not in {"open", "os.mkdir", "os.rename", "os.link"}:
        return
    path = arguments[0] if event in {"open", "os.mkdir"} else arguments[1]
    if not isinstance(path, str | bytes | os.PathLike):
        return
    text = os.fsdecode(path)
    if event == "open" and not (
        isinstance(arguments[2], int) and arguments[2] & os.O_CREAT and not Path(text).exists()
    ):
        return
    if text.startswith(disk.folder) and not disk.spend(f"{event} {text}"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), text)
