"""What runs printed, read piece by piece while they run."""

from __future__ import annotations

from mainspring.compute.engine import Handle
from mainspring.control.placement import open_pools
from mainspring.control.turn import Turn
from mainspring.control.usecases import Later, handles, loop
from mainspring.domain import messages
from mainspring.domain.errors import MainspringError, NotFound, Unavailable
from mainspring.domain.gangs import name_member
from mainspring.domain.pools import LOCAL_POOL, split_place
from mainspring.domain.records import Run
from mainspring.store import runs

MOST_BYTES = 1 << 20
"""Of one answer."""

BRING_S = 10.0
"""So long is waited for the rest of what an ended run printed, where an engine brings it from another machine."""

_TOPIC = "logs"


@handles(messages.GetLogs, action="runs.read", reads=True)
def get_logs(turn: Turn, command: messages.GetLogs) -> messages.Logs | Later:
    """Answer with what the attempts of a run printed, one after the other, from an offset in bytes.

    Raises
    ------
    NotFound
        RUN-026 when it has no member of that rank.
    """
    run = runs.find_run(turn.connection, turn.project, command.run_id)
    if command.rank >= run.resources.nodes:
        has = f"it has {run.resources.nodes}, from 0" if run.resources.nodes > 1 else "it is no gang"
        raise NotFound("RUN-026", f"{run.name} has no member {command.rank}: {has}", run=run.id)
    ended, name = runs.is_ended(run), name_member(run.id, command.rank)
    coming = ended and _is_coming(turn, run, name)
    if coming and not turn.expired:
        return Later((_TOPIC, run.id), max(command.wait_s, BRING_S))
    content = _read(turn, run, name, command.offset)
    last = ended and not coming and len(content) < MOST_BYTES
    text, size_bytes = decode(content, last=last)
    if not size_bytes and not last and command.wait_s > 0 and not turn.expired:
        return Later((_TOPIC, run.id), command.wait_s)
    return messages.Logs(text, command.offset + size_bytes, last)


@loop(every_s=0.25)
def wake_readers(turn: Turn) -> None:
    """Have those who wait for text look again; nobody tells the owner when a run prints."""
    turn.notify(_TOPIC)


def decode(content: bytes, *, last: bool) -> tuple[str, int]:
    """Decode text that may end within a character.

    Parameters
    ----------
    content : bytes
        UTF-8; what is not is replaced.
    last : bool
        Nothing follows.

    Returns
    -------
    tuple of str and int
        The text, and how many bytes of `content` it stands for.

    Examples
    --------
    >>> decode("naïve".encode()[:3], last=False)
    ('na', 2)
    """
    whole = len(content)
    if not last:
        # At most three bytes can wait for the rest of their character.
        for back in range(1, min(4, whole + 1)):
            first = content[-back]
            if first & 0xC0 != 0x80:
                length = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1
                whole -= back if length > back else 0
                break
    return content[:whole].decode(errors="replace"), whole


def _is_coming(turn: Turn, run: Run, name: str) -> bool:
    """Tell whether the engine still holds the last attempt of an ended run: then text may follow."""
    pool = open_pools(turn).get(split_place(run.place)[0]) if run.place else None
    try:
        return pool is not None and pool.engine.poll([Handle(name, run.attempt)])[0].state != "ended"
    except Exception:  # noqa: BLE001 - the engine of somebody else may raise anything; `_read` tells what
        return False


def _read(turn: Turn, run: Run, name: str, offset: int) -> bytes:
    known = open_pools(turn)
    places = {each.number: each.place for each in run.attempts} | {run.attempt: run.place}
    content = b""
    for attempt in range(1, run.attempt + 1):
        pool = known.get(split_place(places.get(attempt) or LOCAL_POOL)[0])
        if pool is None:
            continue  # what it printed went with its pool
        try:
            part, size_bytes = pool.engine.logs(Handle(name, attempt), offset, MOST_BYTES - len(content))
        except Exception as fault:  # noqa: BLE001 - the engine of somebody else may raise anything
            told = fault.what if isinstance(fault, MainspringError) else f"{type(fault).__name__}: {fault}"
            raise Unavailable("POOL-007", f"the pool {pool.name} has what {run.name} printed: {told}") from None
        content += part
        offset = max(0, offset - size_bytes)
    return content
