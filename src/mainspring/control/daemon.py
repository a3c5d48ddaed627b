"""The owner as a process: what it logs, what ends it, and whom it tells that it answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

import msgspec

from mainspring.control.lifetime import IDLE_S, Owner
from mainspring.control.settings import check_settings
from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.home import Home
from mainspring.domain.wire import describe
from mainspring.store.homes import place_home

_log = logging.getLogger(__name__)
_MOST_LOG_BYTES = 5_000_000


def own(root: str, patience_s: float) -> int:
    """Own a home until idle, and tell the starter on the standard output when the socket answers or why it never will.

    Parameters
    ----------
    root : str
        The home's folder.
    patience_s : float
        Seconds to wait for an owner that is about to end.

    Returns
    -------
    int
        The exit code.
    """
    try:
        check_settings()
        owner = Owner(place_home(Path(root)), _idle_s(IDLE_S), patience_s)
    except MainspringError as error:
        _tell_starter(msgspec.json.encode(describe(error)))
        sys.stderr.write(f"{error}\n")
        return 1
    _log_to(owner.home)
    asyncio.run(_run(owner))
    return 0


async def _run(owner: Owner) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, owner.end)
    ready = asyncio.Event()

    async def tell() -> None:
        await ready.wait()
        _log.info("process %d owns %s", os.getpid(), owner.home.root)
        _tell_starter(b"{}")

    telling = asyncio.ensure_future(tell())
    try:
        await owner.run(ready)
    finally:
        telling.cancel()


def _tell_starter(line: bytes) -> None:
    # The starter may be gone; then nobody wants to know.
    with contextlib.suppress(OSError):
        os.write(1, line + b"\n")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _log_to(home: Home) -> None:
    handler = RotatingFileHandler(home.logs / "owner.log", maxBytes=_MOST_LOG_BYTES, backupCount=2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _idle_s(default: float) -> float:
    text = os.environ.get("MAINSPRING_IDLE_S", "")
    try:
        return float(text or default)
    except ValueError:
        raise Invalid("HOME-018", f"MAINSPRING_IDLE_S={text!r} is not a number of seconds") from None
