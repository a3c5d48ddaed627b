"""What the contract suite of engines has workers execute."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mainspring.domain.errors import Interrupted


def add_one(number: int) -> int:
    """Return the next number."""
    return number + 1


def leave_mark(folder: str, name: str, wait_s: float = 0.0) -> str:
    """Make a file of its own for each execution, after a while; return its name."""
    time.sleep(wait_s)
    path = Path(folder) / f"{name}.{os.getpid()}.{time.monotonic_ns()}"
    path.touch()
    return path.name


def wait_for(path: str, ready: str = "") -> int:
    """Wait until a file is there; return the process id."""
    if ready:
        Path(ready).write_text(str(os.getpid()))
    while not Path(path).exists():
        time.sleep(0.01)
    return os.getpid()


def clean_up_when_told(ready: str, cleaned: str) -> None:
    """Start a child, wait to be ended, and leave a file on the way out."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        Path(ready).write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    finally:
        Path(cleaned).touch()


def ignore_the_word(ready: str) -> None:
    """Go on whatever happens."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(ready).write_text(str(os.getpid()))
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(600)


def swallow_the_word(ready: str) -> str:
    """Swallow the word to end and return a value all the same."""
    try:
        Path(ready).touch()
        time.sleep(600)
    except Interrupted:
        pass
    return "too late"


def fail_until(path: str) -> str:
    """Fail while a file is missing, and make it."""
    print(f"looking for {Path(path).name}")  # noqa: T201 - the log is what is tested
    if not Path(path).exists():
        Path(path).touch()
        raise ValueError("not there yet")
    return "there"


def raise_deep(text: str) -> None:
    """Raise from a function below."""
    _raise(text)


def _raise(text: str) -> None:
    raise ValueError(text)


def exit_with(code: int) -> None:
    """End the process at once."""
    os._exit(code)


def call_exit(code: Any) -> None:
    """End as a script would."""
    sys.exit(code)


def die(number: int) -> None:
    """Send a signal to the own process."""
    os.kill(os.getpid(), number)
    time.sleep(600)


def speak(lines: list[str], stop: str) -> None:
    """Print lines, from Python, below Python and from a child, and wait."""
    for line in lines:
        print(line)  # noqa: T201 - the log is what is tested
    sys.stderr.write("to standard error\n")
    os.write(1, b"below Python\n")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    wait_for(stop)
    print("the end")  # noqa: T201 - the log is what is tested


def hold_memory(size_bytes: int, stop: str) -> int:
    """Hold memory until a file is there."""
    block = bytearray(size_bytes)
    block[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(block[:: os.sysconf("SC_PAGE_SIZE")])
    wait_for(stop)
    return len(block)


def work(seconds: float) -> None:
    """Use the processor."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def return_the_unstorable() -> Any:
    """Return what nothing can store."""
    import threading

    return threading.Lock()
