"""The state of objects: taken, stored as one value, and put back in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from mainspring.domain.errors import Conflict, Invalid
from mainspring.tracking.codec import Storage, library_of
from mainspring.tracking.structures import read_part, write_part

State = tuple[str, Any]
"""(how it is put back, the state itself)"""


class Saved:
    """The states of several objects.

    Attributes
    ----------
    states : list of State
        In the order of the objects.
    positions : dict of str to int
        Next position of each name that the run has logged.
    """

    def __init__(self, states: Sequence[State], positions: dict[str, int]) -> None:
        self.states = list(states)
        self.positions = positions


class States:
    """Checkpoints: a list of states, each in the format of its type."""

    name = "checkpoint"

    def accepts(self, value: Any) -> bool:
        """Accept what `Checkpoint.save` makes."""
        return type(value) is Saved

    def write(self, value: Any, storage: Storage) -> bytes:
        """Write JSON: how each is put back, small states inline, others by digest."""
        parts = [[kind, write_part(state, storage)] for kind, state in value.states]
        return json.dumps({"states": parts, "positions": value.positions}).encode()

    def read(self, content: bytes, storage: Storage) -> Any:
        """Read it back; every byte is checked against its digest."""
        body = json.loads(content)
        return Saved([(kind, read_part(part, storage)) for kind, part in body["states"]], body["positions"])

    def summarise(self, value: Any) -> str:
        """Count the objects."""
        return f"checkpoint of {len(value.states)} objects"


STATES = States()


def take_state(thing: Any) -> State:
    """Return the state of an object that can be put back in place.

    Raises
    ------
    Invalid
        LOG-003 for what has none, such as a number or a text.
    """
    if callable(getattr(thing, "load_state_dict", None)) and callable(getattr(thing, "state_dict", None)):
        return "state_dict", thing.state_dict()
    for kind, known in _KINDS.items():
        if isinstance(thing, known):
            return kind, bytes(thing) if isinstance(thing, bytearray) else thing
    if library_of(thing) == "numpy":
        if type(thing).__name__ == "ndarray" and thing.shape:
            return "array", thing
        if hasattr(thing, "bit_generator"):
            return "generator", thing.bit_generator.state
    if callable(getattr(thing, "getstate", None)) and callable(getattr(thing, "setstate", None)):
        return "getstate", thing.getstate()
    if _has_attributes(thing):
        return "attributes", thing.__getstate__()
    raise Invalid("LOG-003", f"{thing!r:.100} of type {type(thing).__name__} cannot be changed in place")


def put_back(states: Sequence[State], things: Sequence[Any]) -> None:
    """Give objects the states that others of their kinds had.

    Raises
    ------
    Conflict
        LOG-004 when they are not the same in number and kind; then none is changed, unless a shape
        differs.
    Invalid
        LOG-003 for an object that cannot be changed in place.
    """
    kinds = [kind for kind, _ in states]
    wanted = [take_state(thing)[0] for thing in things]
    if kinds != wanted:
        what = f"the checkpoint holds {', '.join(kinds) or 'nothing'}, to be restored are {', '.join(wanted) or 'none'}"
        raise Conflict("LOG-004", what)
    for place, ((kind, state), thing) in enumerate(zip(states, things, strict=True)):
        try:
            _PUT[kind](thing, state)
        except (ValueError, KeyError, RuntimeError) as fault:
            what = f"object {place} of type {type(thing).__name__} does not take its state: {fault}"
            raise Conflict("LOG-004", what[:1_000]) from fault


_KINDS: dict[str, type] = {"dict": dict, "list": list, "set": set, "bytearray": bytearray}


def _has_attributes(thing: Any) -> bool:
    kind = type(thing)
    if kind.__module__ == "builtins" or isinstance(thing, type) or kind.__name__ in {"function", "module"}:
        return False
    return hasattr(kind, "__setstate__") or isinstance(getattr(thing, "__dict__", None), dict)


def _refill(thing: Any, state: Any) -> None:
    thing.clear()
    thing.update(state)


def _set_all(thing: Any, state: Any) -> None:
    thing[:] = state


def _set_array(thing: Any, state: Any) -> None:
    if thing.shape != state.shape:
        raise ValueError(f"it has the shape {thing.shape}, the saved one {state.shape}")
    thing[...] = state


def _set_generator(thing: Any, state: Any) -> None:
    thing.bit_generator.state = state


def _set_attributes(thing: Any, state: Any) -> None:
    if hasattr(type(thing), "__setstate__"):
        thing.__setstate__(state)
    else:
        _refill(thing.__dict__, state or {})


_PUT: dict[str, Callable[[Any, Any], None]] = {
    "state_dict": lambda thing, state: thing.load_state_dict(state),
    "dict": _refill,
    "set": _refill,
    "list": _set_all,
    "bytearray": _set_all,
    "array": _set_array,
    "generator": _set_generator,
    "getstate": lambda thing, state: thing.setstate(state),
    "attributes": _set_attributes,
}
