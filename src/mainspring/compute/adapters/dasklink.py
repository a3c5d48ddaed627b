"""Speaks to a Dask cluster through a process of its own, which has Dask imported and lives as long as the owner."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.compute.engine import Node, Spec
from mainspring.compute.exchanges import ExchangeLink, Failure
from mainspring.compute.scheduling.fitting import find_misfit
from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home

if TYPE_CHECKING:
    from mainspring.compute.adapters.dask import Address

SILENCE_S = 120.0
"""An exchange takes no longer; the first may start a cluster."""

_MACHINES_EVERY_S = 2.0
_SIDE = "mainspring.compute.adapters.daskside"


class DaskLink(ExchangeLink):
    """Has workers of Dask keep attempts.

    Parameters
    ----------
    url : str
        Of the pool.
    address : Address
        What it says.
    home : Home
        Whose runs they are.
    """

    def __init__(self, url: str, address: Address, home: Home) -> None:
        super().__init__("dask", home, address.reach, _MACHINES_EVERY_S)
        self._address = address
        self._mark = hashlib.sha256(f"{socket.gethostname()} {home.root} {url}".encode()).hexdigest()[:16]
        self._nodes: list[Node] = []
        self._side: subprocess.Popen[bytes] | None = None
        self._answers = bytearray()

    def list_nodes(self) -> list[Node]:
        """Return the workers, as they were told last.

        Raises
        ------
        Unavailable
            WORK-016 when the scheduler does not answer, or cannot be spoken to.
        """
        if self.problem or (self.searched and not self._nodes):
            raise Unavailable("WORK-016", self.problem or "the Dask cluster has no worker")
        return list(self._nodes)

    def find_refusal(self, spec: Spec) -> str:
        """Tell why no worker can ever execute an attempt."""
        misfit = find_misfit(self._nodes, "step", spec.resources) if self._nodes else ""
        return misfit or self._reach.find_refusal(spec)

    def make_begin(self, spec: Spec) -> dict[str, Any]:
        """Return what begins an attempt."""
        # An interpreter of this machine is nowhere else.
        python = "" if self._address.scheduler else spec.python
        return super().make_begin(spec) | {"node": spec.node, "gpus": spec.resources.gpus, "python": python}

    def take_machines(self, facts: Any) -> None:
        """Note which workers there are."""
        self._nodes = [
            Node(
                each["name"],
                float(each["cpus"]),
                int(each["memory_bytes"]),
                float(each["gpus"]),
                address=each["host"],
                alone=not each["host"],
            )
            for each in facts
        ]

    def exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the process."""
        side = self._side
        if side is None or side.poll() is not None:
            side = self._side = self._start()
        try:
            # Workers come and go: what is lost with one is never told before it is gone.
            self._say(side, request | {"machines": True})
            told: dict[str, Any] = json.loads(self._hear(side))
        except (OSError, ValueError) as fault:
            self._end_side()
            raise Failure(f"what speaks to Dask has failed: {fault}") from None
        if "problem" in told:
            raise Failure(told["problem"])
        return told

    def close(self) -> None:
        """End the thread and the process; tasks go on."""
        self._closing = True
        self._end_side()
        super().close()

    def _start(self) -> subprocess.Popen[bytes]:
        log = self._home.logs / "dask.log"
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._answers.clear()
        with log.open("ab") as file:
            side = subprocess.Popen(
                [sys.executable, "-P", "-m", _SIDE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,
            )
        settings = msgspec.to_builtins(self._address) | {
            "mark": self._mark,
            "folder": str(self._home.root / "dask" / self._mark),
        }
        self._say(side, settings)
        return side

    def _say(self, side: subprocess.Popen[bytes], what: dict[str, Any]) -> None:
        assert side.stdin is not None
        side.stdin.write(json.dumps(what).encode() + b"\n")
        side.stdin.flush()

    def _hear(self, side: subprocess.Popen[bytes]) -> bytes:
        """Return the next line that the process says."""
        assert side.stdout is not None
        number, until = side.stdout.fileno(), time.monotonic() + SILENCE_S
        while b"\n" not in self._answers:
            if self._closing:
                raise OSError("it is being closed")
            readable, _, _ = select.select([number], [], [], 1.0)
            part = os.read(number, 1 << 20) if readable else None
            if part == b"":
                raise OSError(f"it ended; {self._home.logs / 'dask.log'} may tell why")
            if time.monotonic() > until:
                raise OSError(f"it was silent for {SILENCE_S:.0f} s")
            self._answers += part or b""
        line, _, rest = bytes(self._answers).partition(b"\n")
        self._answers = bytearray(rest)
        return line

    def _end_side(self) -> None:
        side, self._side = self._side, None
        if side is not None:
            side.kill()
            side.wait()
            for end in (side.stdin, side.stdout):
                with contextlib.suppress(OSError):
                    end.close()  # type: ignore[union-attr]
