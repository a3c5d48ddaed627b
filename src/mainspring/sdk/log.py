"""Log numbers, figures, tables and files of the active run."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from mainspring.domain.errors import Interrupted, Invalid, Pruned
from mainspring.domain.records import Value
from mainspring.sdk.context import ActiveRun, active_run
from mainspring.sdk.results import hide_params, store_result
from mainspring.security.masks import mask_all
from mainspring.tracking.journal import Entry, Facts, Point
from mainspring.tracking.plain import is_json

_MOST_NAME = 250
_MOST_PARAM = 500


def log(values: Mapping[str, Any] | None = None, *, step: int | None = None, **named: Any) -> None:
    """Record values of the active run under their names, by type.

    Parameters
    ----------
    values : mapping of str to object, optional
        Numbers become points of a series. Matplotlib figures (as PNG), texts, tables, arrays,
        dicts and paths become artifacts of the run, the latest of each name.
    step : int, optional
        Position of the numbers in their series, >= 0. By default each series counts by itself.
    **named
        The same as `values`.

    Raises
    ------
    Invalid
        STEP-006 outside of runs; STEP-009 for a name or step that is none; STEP-001 for a value
        that cannot be stored.
    Pruned
        The search gave this trial up. It is no `Exception`, so that a loop's own handlers let it
        pass.

    Notes
    -----
    Guarantees: numbers are in the kernel on return, so they outlive the process; NaN and
    infinities are kept as they are. Cost: some 10 us for numbers; never waits for the owner.
    """
    active = _get_active()
    now = time.time()
    entries: list[Entry] = []
    for name, value in {**(values or {}), **named}.items():
        if type(name) is not str or not 0 < len(name) <= _MOST_NAME:
            raise Invalid("STEP-009", f"{name!r} is no name of 1 to {_MOST_NAME} characters")
        number = _as_number(value)
        if number is not None:
            entries.append(Point(name, _place(active, name, step), now, number))
        else:
            entries.append(Facts(tags={f"artifact.{name}": _keep(active, value)}))
    if entries:
        active.journal.append(*entries)


def log_params(**params: Any) -> None:
    """Record parameters of the active run; a step's arguments are recorded without it.

    Parameters
    ----------
    **params
        JSON values are kept as they are, others as their text, at most 500 characters.

    Raises
    ------
    Invalid
        STEP-006 outside of runs.
    """
    active = _get_active()
    kept = {name: value if is_json(value) else _shorten(value) for name, value in params.items()}
    if kept:
        active.journal.append(Facts(params=mask_all(hide_params(kept))))


def _get_active() -> ActiveRun:
    active = active_run()
    if active is None:
        raise Invalid("STEP-006", "nothing runs here that could log")
    if active.order == "prune":
        raise Pruned(f"the search gave {active.run.name} up")
    if active.order in {"cancel", "lost"}:
        raise Interrupted(f"{active.run.name} was {'cancelled' if active.order == 'cancel' else 'lost'}")
    return active


def _as_number(value: Any) -> float | None:
    """Return a real number, None for anything else; arrays without dimensions are numbers."""
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str | bytes | complex) or getattr(value, "shape", ()) != ():
        return None
    try:
        return float(value) if hasattr(type(value), "__float__") else None
    except (TypeError, ValueError):
        return None


def _place(active: ActiveRun, name: str, step: int | None) -> int:
    if step is None:
        step = active.positions.get(name, 0)
    elif isinstance(step, bool) or not hasattr(type(step), "__index__") or step < 0:
        raise Invalid("STEP-009", f"step={step!r} is no whole number from 0", fix="log(loss=0.1, step=3)")
    step = int(step)
    active.positions[name] = step + 1
    return step


def _keep(active: ActiveRun, value: Any) -> str:
    """Store an artifact; return its JSON for the tag."""
    client = active.client
    if type(value).__module__.startswith("matplotlib.") and hasattr(value, "savefig"):
        file = io.BytesIO()
        value.savefig(file, format="png")
        content = file.getvalue()
        stored = Value("png", client.blobs.put(content), len(content), f"figure, {len(content):,} B")
    else:
        stored = store_result(value, client)
    return msgspec.json.encode(stored).decode()


def _shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MOST_PARAM else f"{text[: _MOST_PARAM - 3]}..."
