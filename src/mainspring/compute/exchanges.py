"""A link that does one exchange after the other: what is to be done goes, what was printed comes back."""

from __future__ import annotations

import base64
import os
import time
from abc import abstractmethod
from typing import Any

import msgspec

from mainspring.compute import forks, keeper
from mainspring.compute.attempts import VARIABLE, write_attempt
from mainspring.compute.engine import Handle, Spec
from mainspring.compute.reach import Reach
from mainspring.compute.remote import Attempt, Link
from mainspring.domain.home import Home

EVERY_S = 0.5
"""Between two exchanges while there are attempts."""

AGAIN_S = 3.0
"""Before a machine is asked again that did not answer."""

MACHINES_EVERY_S = 30.0
"""How often it is asked what machines there are."""


class Failure(Exception):
    """An exchange that failed, in one line."""


class KeptAttempt(Attempt):
    """An attempt with a keeper.

    Attributes
    ----------
    told : bool
        The keeper has heard that it is to end.
    """

    told = False


class ExchangeLink(Link[KeptAttempt]):
    """Holds what is to be said, and what was told last.

    Parameters
    ----------
    name : str
        Of the thread.
    home : Home
        Whose runs they are; text of attempts is copied to it.
    reach : Reach
        How workers there reach it.
    machines_every_s : float
        How often machines are asked for; with no attempts, how often there is an exchange.

    Attributes
    ----------
    problem : str
        Why the last exchange failed; empty: it did not.

    Notes
    -----
    A link of this kind brings `exchange`, `take_machines` and `list_nodes`. `exchange` is given ``begin``, ``end``,
    ``forget``, ``known`` (their end is), ``offsets`` of the others, and ``machines``. It returns ``attempts`` as
    `keeper.tell` tells of each, and ``machines``; it may say by ``waiting`` what has not begun and why, and by
    ``silent`` that some machine told nothing, so that what is missing is not lost yet.
    """

    def __init__(self, name: str, home: Home, reach: Reach, machines_every_s: float = MACHINES_EVERY_S) -> None:
        super().__init__(name)
        self.problem = ""
        self._home = home
        self._reach = reach
        self._machines_every_s = machines_every_s
        self._machines_at: float | None = None
        self._released: set[Handle] = set()
        self._more = False

    @abstractmethod
    def exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """Say what is to be said, and return what is told.

        Raises
        ------
        Failure
            Nothing was told.
        """

    @abstractmethod
    def take_machines(self, facts: Any) -> None:
        """Note what machines there are.

        Raises
        ------
        Failure
            Nothing can be executed there.
        """

    def make_attempt(self, handle: Handle, since: float, spec: Spec | None = None) -> KeptAttempt:
        """Return what is kept of an attempt."""
        return KeptAttempt(handle, since, spec)

    def make_begin(self, spec: Spec) -> dict[str, Any]:
        """Return what begins an attempt."""
        name = name_of(Handle(spec.run_id, spec.attempt))
        return {"name": name, "variables": {VARIABLE: write_attempt(spec)} | self._reach.variables}

    def drop(self, attempt: KeptAttempt) -> None:
        """Have the attempt forgotten there, too."""
        self._released.add(attempt.handle)

    def look(self) -> None:
        """Do one exchange."""
        request = self._prepare()
        try:
            self._take(request, self.exchange(request))
            self.problem = ""
        except Failure as fault:
            self.problem = str(fault)
        except (OSError, ValueError, KeyError, msgspec.MsgspecError) as fault:
            self.problem = f"what {self._thread.name} answers cannot be read: {fault}"

    def rest(self) -> None:
        """Wait until the next exchange; a machine that is down is not asked more often for what is to be said."""
        if self.problem:
            until = time.monotonic() + AGAIN_S
            while not self._closing and time.monotonic() < until:
                time.sleep(0.1)
        elif not self._more:
            self._woken.wait(EVERY_S if self._attempts else self._machines_every_s)

    def _prepare(self) -> dict[str, Any]:
        at = self._machines_at
        with self._lock:
            held = list(self._attempts.values())
            released = [name_of(handle) for handle in self._released]
        return {
            "begin": [self.make_begin(each.spec) for each in held if each.spec is not None],
            "end": [
                {"name": name_of(each.handle), "grace_s": each.grace_s, "signal": each.signal}
                for each in held
                if each.signal and not each.told
            ],
            "forget": released,
            "offsets": {name_of(each.handle): self._find_offset(each) for each in held if not each.ended},
            "known": [name_of(each.handle) for each in held if each.ended],
            "machines": at is None or time.monotonic() - at > self._machines_every_s,
        }

    def _take(self, request: dict[str, Any], told: dict[str, Any]) -> None:
        """Note what was told in answer to a request."""
        if told["machines"] is not None:
            self.take_machines(told["machines"])
            self._machines_at = time.monotonic()
        found = {parse_name(name): facts for name, facts in told["attempts"].items()}
        for handle, facts in found.items():
            self._copy(handle, facts)
        self._more = any(self._measure(handle) < facts["size_bytes"] for handle, facts in found.items())
        with self._lock:
            for each in request["begin"]:
                if (attempt := self._attempts.get(parse_name(each["name"]))) is not None:
                    attempt.spec = None
            for each in request["end"]:
                if (attempt := self._attempts.get(parse_name(each["name"]))) is not None:
                    attempt.told = True
            self._released -= {parse_name(name) for name in request["forget"]}
            self._note(request, found, told)

    def _note(self, request: dict[str, Any], found: dict[Handle, dict[str, Any]], told: dict[str, Any]) -> None:
        """Change attempts by what was found of them, and by what was not; under the lock."""
        for handle, facts in found.items():
            if handle not in self._released:
                self._read(self._attempts.setdefault(handle, KeptAttempt(handle, facts["at"])), facts)
        waiting = {parse_name(name): detail for name, detail in told.get("waiting", {}).items()}
        for handle, detail in waiting.items():
            if (attempt := self._attempts.get(handle)) is not None:
                attempt.change(queued=True, detail=detail)
        if told.get("silent"):
            return
        for handle in {parse_name(name) for name in request["offsets"]} - set(found) - set(waiting):
            if (attempt := self._attempts.get(handle)) is not None:
                attempt.end("lost", "what was kept of it there is gone")
        self.searched = True

    def _read(self, attempt: KeptAttempt, facts: dict[str, Any]) -> None:
        size_bytes = self._measure(attempt.handle)
        pid, code, detail = int(facts["pid"]), facts["code"], facts.get("detail", "")
        if facts["state"] != "ended" or size_bytes < facts["size_bytes"]:
            # One that has ended is told so once all that it printed is here.
            state = "starting" if facts["state"] == "starting" else "running"
            attempt.change(state=state, pid=pid, queued=False, detail=detail)
        elif code is None:
            attempt.change(pid=pid)
            attempt.end(facts.get("cause", "lost"), detail or "what watches it on the machine is gone")
        else:
            attempt.change(pid=pid)
            attempt.end_by_code(code)

    def _find_offset(self, attempt: KeptAttempt) -> int:
        """Return how much is here of what an attempt has printed; one that has not begun has printed nothing."""
        return 0 if attempt.status.state == "starting" else self._measure(attempt.handle)

    def _copy(self, handle: Handle, facts: dict[str, Any]) -> None:
        """Add to the text of an attempt in this home what was printed since."""
        part = base64.b64decode(facts["text"], validate=True)
        if not part:
            return
        path = forks.log_path(self._home, handle.run_id, handle.attempt)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Where it belongs: an exchange whose answer was lost tells the same once more.
            os.pwrite(file, part, int(facts["offset"]))
        finally:
            os.close(file)

    def _measure(self, handle: Handle) -> int:
        try:
            return forks.log_path(self._home, handle.run_id, handle.attempt).stat().st_size
        except FileNotFoundError:
            return 0


def name_of(handle: Handle) -> str:
    """Return the name of an attempt's folder."""
    return f"{handle.run_id}-{handle.attempt}"


def parse_name(name: str) -> Handle:
    """Return the attempt of a folder.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> handle = parse_name("0" * 31 + "7.1-2")
    >>> handle.run_id[-3:], handle.attempt
    ('7.1', 2)
    """
    run_id, _, attempt = keeper.check_name(name).partition("-")
    return Handle(run_id, int(attempt))
