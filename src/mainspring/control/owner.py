"""The owner process of a home: ``python -m mainspring.control.owner --home PATH``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.home import Home
from mainspring.domain.wire import describe

if TYPE_CHECKING:
    from mainspring.control.lifetime import Owner

_log = logging.getLogger(__name__)

USE_CASES = (
    "mainspring.control.blobs",
    "mainspring.control.runs",
    "mainspring.control.tracking",
    "mainspring.control.files",
    "mainspring.control.loggedmodels",
    "mainspring.control.imports",
    "mainspring.control.experiments",
    "mainspring.control.logged",
    "mainspring.control.searches",
    "mainspring.control.leases",
    "mainspring.control.placement",
    "mainspring.control.pools",
    "mainspring.control.tenants",
    "mainspring.control.queue",
    "mainspring.control.environments",
    "mainspring.control.rehearsals",
    "mainspring.control.retries",
    "mainspring.control.logs",
    "mainspring.control.drafts",
    "mainspring.control.sweeps",
    "mainspring.control.deletions",
    "mainspring.control.retention",
    "mainspring.control.quotas",
    "mainspring.control.litter",
    "mainspring.control.assets",
    "mainspring.control.writes",
    "mainspring.control.studies",
    "mainspring.control.apply",
    "mainspring.control.promotion",
    "mainspring.control.predictions",
    "mainspring.control.services",
    "mainspring.control.renewals",
    "mainspring.control.triggers",
    "mainspring.control.watches",
    "mainspring.control.hooks",
    "mainspring.control.gates",
    "mainspring.control.lineage",
    "mainspring.control.sources",
    "mainspring.control.pipelines",
    "mainspring.control.registry",
    "mainspring.control.explain",
    "mainspring.control.status",
    "mainspring.control.projects",
    "mainspring.control.principals",
    "mainspring.control.tokens",
    "mainspring.control.passwords",
    "mainspring.control.keys",
    "mainspring.control.secrets",
    "mainspring.control.sinks",
    "mainspring.control.deliveries",
    "mainspring.control.audit",
)
"""Modules of control that register use cases and loops."""

_MOST_LOG_BYTES = 5_000_000

PATIENCE_S = 10.0
"""Seconds that an owner started by a client waits for one that is about to end."""


def main(arguments: list[str] | None = None) -> int:
    """Own a home until idle.

    One line of JSON on the standard output tells the starter: ``{}`` when the socket answers, a
    problem when it never will.
    """
    parser = argparse.ArgumentParser(prog="python -m mainspring.control.owner")
    parser.add_argument("--home", required=True, type=Path, help="folder of the record")
    parser.add_argument("--detach", action="store_true", help="go on in a process that nobody waits for")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    if options.detach and os.fork():
        os._exit(0)
    try:
        owner = _open(options.home, PATIENCE_S if options.detach else 0.0)
    except MainspringError as error:
        _tell_starter(msgspec.json.encode(describe(error)))
        sys.stderr.write(f"{error}\n")
        return 1
    _log_to(owner.home)
    asyncio.run(_run(owner))
    return 0


def _open(root: Path, patience_s: float) -> Owner:
    with _collecting_nothing():
        for name in USE_CASES:
            importlib.import_module(name)
        from mainspring.control.lifetime import IDLE_S, Owner
        from mainspring.store.homes import place_home
    return Owner(place_home(root), _idle_s(IDLE_S), patience_s)


@contextlib.contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Keep the collector from looking through modules while they load, and ever after: a seventh of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


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


if __name__ == "__main__":
    # Imported by its name, so that use cases that import this module meet the same one.
    sys.exit(importlib.import_module("mainspring.control.owner").main())
