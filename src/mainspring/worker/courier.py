"""The process that sends events: ``python -m mainspring.worker.courier --home PATH``, started by the owner.

What it speaks to may hang, lie or be slow: each sink has a thread of its own, and the owner is told
of one event at a time before the next one is sent. It keeps nothing and ends when there is nothing to
send, or with its owner.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from mainspring.domain.command import Command
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import MainspringError
from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, Delivery, Noted, ReportDelivery, TakeDeliveries
from mainspring.sdk.client import Client
from mainspring.security.masks import hide, mask
from mainspring.sinks.kind import find_kind
from mainspring.store.homes import place_home

IDLE_S = 10.0
"""Seconds without anything to send after which the process ends."""

_MOST_CHARACTERS = 500

_log = logging.getLogger("mainspring.courier")


class Courier:
    """Sends what the owner hands out.

    Parameters
    ----------
    client : Client
        Of the home; it starts no owner.
    token : str
        Shows the owner that it has started this process.
    """

    def __init__(self, client: Client, token: str) -> None:
        self._client = client
        self._token = token
        self._lock = threading.Lock()
        self._under_way = 0

    def serve(self) -> None:
        """Take deliveries until there were none for a while."""
        idle_since = time.monotonic()
        while True:
            deliveries: list[Delivery] = self._client.ask(TakeDeliveries(token=self._token))
            for delivery in deliveries:
                crash_point("courier.taken")
                if delivery.secret:
                    hide(delivery.secret)
                with self._lock:
                    self._under_way += 1
                threading.Thread(target=self._carry, args=(delivery,), daemon=True).start()
            with self._lock:
                if deliveries or self._under_way:
                    idle_since = time.monotonic()
            if time.monotonic() - idle_since > IDLE_S:
                return

    def _carry(self, delivery: Delivery) -> None:
        """Send the events of a sink, one after the other, as long as the owner says so."""
        try:
            after = delivery.after
            for event in delivery.events:
                answer = self._send(delivery, event)
                crash_point("courier.sent")
                report = ReportDelivery(
                    token=self._token,
                    sink=delivery.sink,
                    event=event.seq,
                    after=after,
                    answer=answer,
                    test=delivery.test,
                    again=delivery.again,
                )
                noted: Noted = self._client.ask(report)
                if not noted.go_on:
                    break
                if not delivery.again:  # those move the sink's position nowhere
                    after = event.seq
        except Exception:  # noqa: BLE001 - nobody waits for a thread: the owner sees the process end, and starts another
            _log.exception("sink %s cannot be served", delivery.name)
            _end(1)
        with self._lock:
            self._under_way -= 1

    def _send(self, delivery: Delivery, event: Event) -> Answered:
        def ask(command: Command) -> Any:
            return self._client.ask(command, project=delivery.project)

        try:
            kind = find_kind(delivery.kind)
            answer = kind.send(delivery, event, time.time(), ask)
        except MainspringError as error:
            answer = Answered("failed", f"{error.code}: {error.what}")
        except OSError as fault:
            answer = Answered("failed", f"{delivery.kind} failed with {type(fault).__name__}: {fault}")
        except Exception as fault:  # noqa: BLE001 - an event that an adapter cannot tell must not block what follows
            _log.warning("sink %s: %s: %s", delivery.name, type(fault).__name__, mask(str(fault)))
            answer = Answered("refused", f"{delivery.kind} cannot tell it: {type(fault).__name__}: {fault}")
        text = mask(answer.text)[:_MOST_CHARACTERS]
        return Answered(answer.outcome, text, answer.retry_after_s)


def main(arguments: list[str] | None = None) -> int:
    """Send until idle; the first line of standard input is the token, its end the end of the owner."""
    parser = argparse.ArgumentParser(prog="python -m mainspring.worker.courier")
    parser.add_argument("--home", required=True, type=Path, help="folder of the record")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    token = sys.stdin.readline().strip()
    threading.Thread(target=_watch, daemon=True).start()
    client = Client(place_home(options.home), start=None)
    try:
        Courier(client, token).serve()
    except MainspringError as error:
        _log.info("ended: %s: %s", error.code, error.what)
    return 0


def _watch() -> None:
    sys.stdin.read()
    _end(0)


def _end(status: int) -> None:
    """End at once, whatever the other threads wait for."""
    logging.shutdown()
    os._exit(status)


if __name__ == "__main__":
    _end(main())
