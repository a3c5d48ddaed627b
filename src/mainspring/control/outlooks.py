"""When a run that waits will start, and what would have it start now: found out in a process beside the owner."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec

from mainspring.compute.scheduling.demands import Demand, Machine
from mainspring.compute.scheduling.durations import Past
from mainspring.compute.scheduling.fitting import make_demand, make_machine
from mainspring.compute.scheduling.line import list_in_line
from mainspring.compute.scheduling.outlooks import Outlook
from mainspring.compute.scheduling.sketches import Sketch, sketch
from mainspring.compute.scheduling.state import State
from mainspring.control import placement
from mainspring.control.backlog import find_state
from mainspring.control.turn import Turn
from mainspring.control.usecases import Later, ends, loop
from mainspring.domain.home import Home
from mainspring.domain.planning import Stay
from mainspring.domain.pools import list_places
from mainspring.domain.quotas import name_tenant
from mainspring.domain.records import Reason
from mainspring.domain.units import format_span
from mainspring.store import calls, runs, stays
from mainspring.store.pools import read_drains

FRESH_S = 10.0
"""Seconds for which what was found out is told again."""

_LOOKED = "outlooks"
_MOST_AT_ONCE = 2
_MOST_WAITING = 500
_MOST_PAST = 600
_PAST_S = 42 * 86_400.0
_LIMIT_S = 60.0

_log = logging.getLogger(__name__)


class _Look:
    """A look ahead for one run, in a process and a thread that waits for it."""

    def __init__(self, asked: Sketch) -> None:
        self.outlook: Outlook | None = None
        self.ended_at: float | None = None
        self.is_told = False
        self._content = msgspec.msgpack.encode(asked)
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._look, name="outlook", daemon=True).start()

    def _look(self) -> None:
        command = [sys.executable, "-P", "-m", "mainspring.worker.outlook"]
        try:
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as self._process:
                try:
                    content, _ = self._process.communicate(self._content, timeout=_LIMIT_S)
                finally:
                    self._process.kill()
            self.outlook = msgspec.msgpack.decode(content, type=Outlook)
        except (OSError, ValueError, subprocess.SubprocessError, msgspec.MsgspecError) as fault:
            _log.warning("nothing was found out about a run that waits: %s", fault)
        self.ended_at = time.monotonic()

    def close(self) -> None:
        """Look no further."""
        if self._process is not None:
            self._process.kill()


_looks: dict[Path, dict[str, _Look]] = {}


def foretell(turn: Turn, reason: Reason, wait_s: float) -> Reason | Later:
    """Add to why a run waits when it is likely to start, and what would have it start now.

    Parameters
    ----------
    turn : Turn
        The turn.
    reason : Reason
        Of anything; what is no run that waits here is returned as it is.
    wait_s : float
        How long that may be waited for; 0: only what is known already is told.
    """
    state = find_state(turn.home)
    if state is None or reason.subject not in state.backlog:
        return reason
    looks = _looks.setdefault(turn.home.root, {})
    _forget_old(looks)
    look = looks.get(reason.subject)
    if look is None and wait_s and not turn.expired:
        if sum(each.ended_at is None for each in looks.values()) >= _MOST_AT_ONCE:
            return Later((_LOOKED,), wait_s)
        look = looks[reason.subject] = _Look(_sketch(turn, state, reason.subject))
    if look is not None and look.ended_at is None and wait_s and not turn.expired:
        return Later((_LOOKED,), wait_s)
    job = next(job for job in state.backlog if job.run_id == reason.subject)
    tenants = {each.tenant for each in state.backlog} | {each.job.tenant for each in state.running.values()}
    used, share = state.shares.read_part(job.tenant, turn.now()), state.shares.read_share(job.tenant, tenants)
    reason.lines.append(f"{job.tenant} has had {used:.0%} of it lately, its share now is {share:.0%}")
    reason.data["outlook"] = {"tenant": job.tenant, "used": used, "share": share}
    if look is not None and look.outlook is not None:
        reason.lines += _tell(look.outlook, turn.now())
        reason.data["outlook"] |= msgspec.to_builtins(look.outlook)
    return reason


@loop(every_s=0.25, durable=False)
def tell_outlooks(turn: Turn) -> None:
    """Have those answered that wait for what was found out."""
    for look in _looks.get(turn.home.root, {}).values():
        if look.ended_at is not None and not look.is_told:
            look.is_told = True
            turn.notify(_LOOKED)


@ends
def forget_outlooks(home: Home) -> None:
    """Look no further."""
    for look in _looks.pop(home.root, {}).values():
        look.close()


def _forget_old(looks: dict[str, _Look]) -> None:
    now = time.monotonic()
    for run_id, look in list(looks.items()):
        if look.ended_at is not None and now - look.ended_at > FRESH_S:
            del looks[run_id]


def _tell(outlook: Outlook, now: float) -> list[str]:
    """Say when a run starts and what would have it start now."""
    found = outlook.forecast
    lines = ["nothing that can be foretold makes room for it"]
    if found is not None:
        passed_s = max(0.0, now - outlook.at)
        low, half, high = (format_span(max(0.0, each - passed_s)) for each in (found.low_s, found.half_s, found.high_s))
        lines = [f"likely to start within {half}; nine of ten such runs start in {low} to {high}"]
    return lines + ([f"it would start now with: {outlook.change}"] if outlook.change else [])


def _sketch(turn: Turn, state: State, run_id: str) -> Sketch:
    """Sketch what a look ahead needs; its cost is bounded, whatever waits."""
    now = turn.now()
    line = list_in_line(state, now)
    asked = [job.run_id for job in line[:_MOST_WAITING]] + [run_id, *state.running]
    names = runs.read_names(turn.connection, asked)
    latest = stays.list_latest(turn.connection, now - _PAST_S, _MOST_PAST)
    past = [make_past(each) for each in reversed(latest) if each.started_at is not None]
    return sketch(
        state, run_id, now, line=line, drained=_list_drained(turn), names=names, past=past, most=_MOST_WAITING
    )


def make_past(stay: Stay) -> Past:
    """Return a run of the record as what is foretold looks at it; it began with its first attempt."""
    began_at = [each.started_at for each in stay.attempts if each.started_at is not None] + [stay.started_at]
    return Past(
        name_tenant(stay.project, stay.principal),
        stay.name,
        make_demand(stay.kind, stay.resources),
        stay.created_at,
        began_at[0] if began_at[0] is not None else stay.created_at,
        stay.ended_at,
    )


def _list_drained(turn: Turn) -> list[Machine]:
    """Return the machines on which nothing more may start, with what those leave that still run there."""
    drained = read_drains(turn.connection)
    found = {
        node.name: make_machine(node)
        for pool in placement.open_pools(turn).values()
        for node in (pool.machines or ())
        if node.name in drained
    }
    used: dict[str, Counter[str]] = {name: Counter() for name in found}
    for held in calls.list_held(turn.connection, turn.node) if found else ():
        for place in list_places(held.place):
            if place in used:
                _count(used[place], make_demand(held.kind, held.resources))
    return [
        machine._replace(
            cpu_milli=max(0, machine.cpu_milli - used[name]["cpu_milli"]),
            memory_bytes=max(0, machine.memory_bytes - used[name]["memory_bytes"]),
            gpus=max(0, machine.gpus - used[name]["gpus"]),
        )
        for name, machine in found.items()
    ]


def _count(used: Counter[str], demand: Demand) -> None:
    used["cpu_milli"] += demand.cpu_milli
    used["memory_bytes"] += demand.memory_bytes
    used["gpus"] += demand.gpus
