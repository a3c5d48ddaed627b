"""The processes of a home, to be killed by their ids, and a ledger that lies outside of its record."""

import json
import os
import signal
import time
from pathlib import Path

from mainspring.control.processes import process_start


class Ledger:
    """Lines that are on disk before their writer goes on; several processes append to one file."""

    def __init__(self, path: Path):
        self.path = path

    def note(self, *words) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, (json.dumps(words) + "\n").encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def read(self, what: str) -> list[list]:
        """Return the words after `what` of every line that begins with it."""
        if not self.path.exists():
            return []
        whole = self.path.read_text().rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line[1:] for line in lines if line[0] == what]


class Machine:
    """The processes of one home, found by their command lines."""

    def __init__(self, home: Path):
        self.home = home

    def owner(self) -> list[int]:
        return self._find("mainspring.control.owner")

    def fork_server(self) -> list[int]:
        forks = self._find("mainspring.worker.forkserver")
        return [pid for pid in forks if _parent(pid) not in forks]

    def worker(self) -> list[int]:
        forks = self._find("mainspring.worker.forkserver")
        return [pid for pid in forks if _parent(pid) in forks]

    def courier(self) -> list[int]:
        return self._find("mainspring.worker.courier")

    def kill_all(self) -> None:
        """Kill every process of the home; one that stands still cannot start another meanwhile."""
        while found := [*self.owner(), *self.fork_server(), *self.worker()]:
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in found:
                    send(pid, number)
            # One that dies still listens for a moment after its command line is gone.
            deadline = time.monotonic() + 20
            while any(process_start(pid) is not None for pid in found):
                assert time.monotonic() < deadline, f"{found} do not end"
                time.sleep(0.005)

    def _find(self, module: str) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                except OSError:
                    continue
                if module in line and any(str(self.home) in part for part in line):
                    found.append(int(entry.name))
        return found


def send(pid: int, number: int) -> bool:
    """Send a signal; tell whether the process was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
