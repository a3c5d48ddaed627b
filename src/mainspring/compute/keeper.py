"""What keeps an attempt on another machine: it starts the worker, bounds what it prints, ends it, leaves how it ended.

It needs the standard library alone, for ``ssh://`` sends it as text to an interpreter there. One exchange starts
attempts, ends and forgets them, and tells where all are and what they have printed since. Each attempt has a folder
with its text, and a *keeper*: there a process in a session of its own, which ends all that descends from it.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MOST_TEXT_BYTES = 64 * 1024 * 1024
"""What an attempt prints beyond is not kept."""

MOST_PART_BYTES = 4 * 1024 * 1024
"""So much text of an attempt is told in one exchange."""

_TOO_MUCH = b"\n--- more than %d MiB were printed; what follows is not kept ---\n" % (MOST_TEXT_BYTES >> 20)
_NAME = re.compile(r"[0-9a-f]{32}(\.[0-9]{1,4})?-[0-9]+\Z")
_OLD_S = 30 * 86_400.0
_SET_SUBREAPER = 36
_LOOK_S = 0.2
_ROUNDS = 50


def exchange(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked and tell what is there."""
    folder = Path(request["folder"]).expanduser()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in request["begin"]:
        begin(folder / check_name(each["name"]), each["variables"])
    for each in request["end"]:
        ask_to_end(folder / check_name(each["name"]), each)
    for name in request["forget"]:
        forget(folder / check_name(name))
    told = tell_all(folder, request)
    return {"attempts": told, "machines": describe_machine() if request["machines"] else None}


def check_name(name: str) -> str:
    """Return a name that is one of an attempt and nothing of a path."""
    if not _NAME.match(name):
        raise ValueError(f"{name!r} names no attempt")
    return name


def begin(place: Path, variables: dict[str, str]) -> None:
    """Start the keeper of an attempt, unless there is one."""
    try:
        place.mkdir(mode=0o700)
    except FileExistsError:
        return
    sys.stdout.flush()
    if os.fork() == 0:
        # Twice, so that nobody waits for the keeper and it holds no terminal.
        os.setsid()
        if os.fork() == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(nothing, number)
            with contextlib.suppress(Exception):  # its end is told by what it leaves, or by its absence
                keep(place, variables)
        os._exit(0)
    os.wait()


def keep(place: Path, variables: dict[str, str]) -> None:
    """Be the keeper."""
    write(place / "keeper.json", {"pid": os.getpid(), "start": start_of(os.getpid()), "at": time.time()})
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    words: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: words.append(1))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    command = [sys.executable, "-P", "-m", "mainspring.worker.once"]
    worker = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **variables},
        cwd=place,
        start_new_session=True,
    )
    write(place / "worker.json", {"pid": worker.pid})
    kill_at = None
    with (place / "text").open("ab", 0) as text:
        assert worker.stdout is not None
        pipe = worker.stdout.fileno()
        while worker.poll() is None:
            copy(pipe, text, _LOOK_S)
            if words:
                words.clear()
                kill_at = min(kill_at or sys.float_info.max, pass_on(place, worker))
            if kill_at is not None and time.monotonic() >= kill_at:
                end_descendants(worker)
        # Nothing that it has left can print any more once this is done; the pipe holds the rest.
        end_descendants(worker)
        while copy(pipe, text, 0.0):
            pass
    write(place / "end.json", {"code": worker.returncode})


def pass_on(place: Path, worker: subprocess.Popen[bytes]) -> float:
    """Send a worker the signal that was asked for; return when what is left is to be killed."""
    asked = read(place / "asked.json") or {"signal": signal.SIGTERM, "grace_s": 0.0}
    with contextlib.suppress(ProcessLookupError):
        worker.send_signal(asked["signal"])
    return time.monotonic() + float(asked["grace_s"])


def copy(pipe: int, text: Any, wait_s: float) -> bool:
    """Copy what was printed, as far as it is kept; tell whether there was something."""
    readable, _, _ = select.select([pipe], [], [], wait_s)
    content = os.read(pipe, 1 << 16) if readable else b""
    if not content:
        if readable:
            time.sleep(wait_s)  # closed, and the worker goes on
        return False
    room = MOST_TEXT_BYTES - text.tell()
    if room >= 0:  # filled to the last byte, what it lacks is the word that more was printed
        text.write(content[:room])
        if len(content) > room:
            text.write(_TOO_MUCH)
    return True


def end_descendants(worker: subprocess.Popen[bytes]) -> None:
    """Kill all that descends from this process, daemons too, until nothing is left."""
    for _ in range(_ROUNDS):
        try:
            below = [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
        except OSError:  # not Linux
            below = []
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
        if worker.poll() is None:
            worker.kill()
        elif not below:
            return
        for pid in set(below) - {worker.pid}:
            with contextlib.suppress(ProcessLookupError, PermissionError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)


def ask_to_end(place: Path, asked: dict[str, Any]) -> None:
    """Have the keeper end its worker."""
    keeper = read(place / "keeper.json")
    if keeper is not None and is_there(keeper) and not (place / "end.json").exists():
        write(place / "asked.json", {"signal": asked["signal"], "grace_s": asked["grace_s"]})
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper["pid"], signal.SIGTERM)


def forget(place: Path) -> None:
    """Remove what was kept of an attempt."""
    shutil.rmtree(place, ignore_errors=True)


def list_places(folder: Path) -> list[Path]:
    """Return the folders of attempts."""
    return sorted(each for each in folder.glob("*-*") if _NAME.match(each.name))


def tell_all(folder: Path, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Tell of all attempts of a folder but those whose end is known already."""
    known, offsets = set(request["known"]), request["offsets"]
    return {each.name: tell(each, offsets.get(each.name, 0)) for each in list_places(folder) if each.name not in known}


def tell(place: Path, offset: int) -> dict[str, Any]:
    """Tell where an attempt is, and what it has printed from an offset on."""
    keeper, worker = read(place / "keeper.json"), read(place / "worker.json")
    there = keeper is not None and is_there(keeper)
    # Read last: a keeper that is gone has left it before.
    end = read(place / "end.json")
    at = keeper["at"] if keeper else place.stat().st_mtime
    just_begun = keeper is None and time.time() - at < 60.0
    state = "ended" if end is not None or not (there or just_begun) else "running" if worker else "starting"
    part, size_bytes = b"", 0
    with contextlib.suppress(FileNotFoundError), (place / "text").open("rb") as text:
        size_bytes = os.fstat(text.fileno()).st_size
        text.seek(min(offset, size_bytes))
        part = text.read(MOST_PART_BYTES)
    return {
        "state": state,
        "pid": worker["pid"] if worker else 0,
        "code": end["code"] if end else None,
        "at": at,
        "offset": min(offset, size_bytes),
        "text": base64.b64encode(part).decode(),
        "size_bytes": size_bytes,
    }


def describe_machine() -> dict[str, Any]:
    """Tell what this machine has."""
    cpus = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cpus = max(1.0, min(cpus, float(quota) / float(period)))
    import importlib.util

    found = importlib.util.find_spec("mainspring") is not None
    return {"cpus": cpus, "memory_bytes": memory, "gpus": list_gpus(), "mainspring": found, "python": sys.executable}


def list_gpus() -> list[str]:
    """Return the types of devices, as NVIDIA's program tells them."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.splitlines() if line.strip()]


def is_there(keeper: dict[str, Any]) -> bool:
    """Tell whether a process lives, and not another one under its id."""
    return bool(keeper["start"]) and start_of(keeper["pid"]) == keeper["start"]


def start_of(pid: int) -> str:
    """Return a text that tells a process from any other that has its id; empty when it is gone."""
    try:
        rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if rest[0] in {"Z", "X"} else rest[19] + Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def read(path: Path) -> dict[str, Any] | None:
    """Read a file of facts; None when there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


def write(path: Path, facts: dict[str, Any]) -> None:
    """Write a file of facts, whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(facts))
    draft.replace(path)
