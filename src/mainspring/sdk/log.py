"""Log numbers, figures, tables, texts and files of the active run."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mainspring.domain.errors import Interrupted, Invalid, Pruned
from mainspring.domain.records import Value
from mainspring.domain.tracking import OWN, Artifact, check_name
from mainspring.sdk.context import ActiveRun, active_run
from mainspring.sdk.results import hide_params, store_result
from mainspring.security.masks import mask_all
from mainspring.store.files import write_faults
from mainspring.tracking.journal import Entry, Facts, Item, Point
from mainspring.tracking.plain import is_json

_MOST_NAMES = 10_000
_MOST_PARAM = 500
_MOST_JSON = 6_000
_MOST_STEP = 2**63
_MOST_MB = 5_000.0


def log(values: Mapping[str, Any] | None = None, *, step: int | None = None, **named: Any) -> None:
    """Record values of the active run under their names, by type.

    Parameters
    ----------
    values : mapping of str to object, optional
        Numbers become points of a series. Anything else becomes an artifact: figures of Matplotlib
        and Plotly, pictures of Pillow and arrays of 8 bits, tables of Polars, pandas and Arrow,
        texts, JSON, arrays, files and folders by `pathlib.Path`. A dict that is no JSON is logged
        value by value, as ``NAME.KEY``.
    step : int, optional
        Position in the series or among the artifacts of a name, >= 0. By default each name counts
        by itself.
    **named
        The same as `values`.

    Raises
    ------
    Invalid
        STEP-006 outside of runs; STEP-009 for a name or step that is none; STEP-001 for a value
        that cannot be stored; LOG-001 for more than 10,000 names in a run; LOG-002 for a file or
        folder above MAINSPRING_MOST_LOGGED_MB. Of a refused call nothing is logged.
    Unavailable
        HOME-006 when the disk is full.
    Pruned
        The search gave this trial up. It is no `Exception`, so that a loop's own handlers let it
        pass.

    Notes
    -----
    Guarantees: what was logged is in the kernel on return, so it outlives the process; NaN and
    infinities are kept as they are. Files are copied as they are read, by content. Cost: some
    10 us for numbers; never waits for the owner.

    Examples
    --------
    >>> with ms.start_run("fit") as run:
    ...     ms.log(loss=0.5, note="converged")
    >>> run.artifacts["note"].load()
    'converged'
    """
    active = check_active()
    given = _gather(values, named)
    now = time.time()
    entries: list[Entry] = []
    positions: dict[str, int] = {}
    for name, value in _flatten(given):
        place = _place(active, name, step)
        number = _as_number(name, value)
        if number is not None:
            entries.append(Point(name, place, now, number))
        else:
            entries.append(Item(Artifact(name, place, now, _keep(active, name, value))))
        positions[name] = place + 1
    _check_count(active, positions)
    if entries:
        append(active, *entries)
        active.positions.update(positions)


def log_params(**params: Any) -> None:
    """Record parameters of the active run; a step's arguments are recorded without it.

    Parameters
    ----------
    **params
        JSON values are kept as they are up to 6,000 characters, others as their text, at most 500
        characters; numbers that are not finite as ``nan``, ``inf`` and ``-inf``.

    Raises
    ------
    Invalid
        STEP-006 outside of runs; LOG-001 for more than 10,000 parameters.

    Examples
    --------
    >>> with ms.start_run("fit") as run:
    ...     ms.log_params(rate=0.1)
    >>> ms.Run(run.id).params["rate"]
    0.1
    """
    active = check_active()
    kept = prepare_params(params)
    if kept:
        append(active, Facts(params=kept))


def check_active() -> ActiveRun:
    """Return the active run, unless the owner has ordered its end.

    Raises
    ------
    Invalid
        STEP-006 outside of runs.
    Interrupted
        The run was given up (`Pruned`), cancelled or lost.
    """
    active = active_run()
    if active is None:
        raise Invalid("STEP-006", "nothing runs here that could log")
    if active.order == "prune":
        raise Pruned(f"the search gave {active.run.name} up")
    if active.order in {"cancel", "lost"}:
        raise Interrupted(f"{active.run.name} was {'cancelled' if active.order == 'cancel' else 'lost'}")
    return active


def append(active: ActiveRun, *entries: Entry) -> None:
    """Append to the journal of a run.

    Raises
    ------
    Unavailable
        HOME-006 when the disk is full, HOME-007 when it may not be written; the journal is as it
        was.
    """
    try:
        active.journal.append(*entries)
    except OSError:
        with write_faults(active.journal.path):
            raise


def prepare_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as the record keeps them: JSON, other values as their text, secrets masked.

    Raises
    ------
    Invalid
        STEP-009 for a name that is none; LOG-001 for too many.
    """
    if len(params) > _MOST_NAMES:
        raise Invalid("LOG-001", f"{len(params):,} parameters; a run has {_MOST_NAMES:,} at most")
    for name in params:
        check_name(name, "a parameter")
    kept: dict[str, Any] = mask_all(hide_params({name: _prepare_param(value) for name, value in params.items()}))
    return kept


def _gather(values: Mapping[str, Any] | None, named: Mapping[str, Any]) -> dict[str, Any]:
    if values is not None and not isinstance(values, Mapping):
        raise Invalid("STEP-009", f"{values!r:.100} has no name", fix="ms.log(NAME=VALUE)")
    given = {**(values or {}), **named}
    if len(given) > _MOST_NAMES:
        raise Invalid("LOG-001", f"{len(given):,} names in one call; a run has {_MOST_NAMES:,} at most")
    return given


def _flatten(values: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values; of a dict that is no JSON those inside, below its name."""
    for name, value in values.items():
        check_name(name, "a metric or artifact")
        if not above and name.startswith(OWN):
            raise Invalid("STEP-009", f"{name!r}: names below {OWN} are the platform's own")
        whole = f"{above}{name}"
        if type(value) is dict and not is_json(value) and all(type(key) is str for key in value):
            yield from _flatten(value, f"{whole}.")
        else:
            if above:
                check_name(whole, "a metric or artifact")
            yield whole, value


def _as_number(name: str, value: Any) -> float | None:
    """Return a real number, None for anything else; arrays without dimensions are numbers."""
    if isinstance(value, str | bytes | complex) or getattr(value, "shape", ()) != ():
        return None
    try:
        return float(value) if hasattr(type(value), "__float__") else None
    except OverflowError:
        raise Invalid("STEP-009", f"{name} is a whole number above the greatest float, 1.8e308") from None
    except (TypeError, ValueError):
        return None


def _place(active: ActiveRun, name: str, step: int | None) -> int:
    return active.positions.get(name, 0) if step is None else check_step(step)


def check_step(step: Any) -> int:
    """Refuse what is no step.

    Raises
    ------
    Invalid
        STEP-009.
    """
    if isinstance(step, bool) or not hasattr(type(step), "__index__") or not 0 <= step < _MOST_STEP - 1:
        raise Invalid("STEP-009", f"step={step!r:.100} is no whole number from 0", fix="log(loss=0.1, step=3)")
    return int(step)


def _check_count(active: ActiveRun, positions: Mapping[str, int]) -> None:
    if len(active.positions) + len(positions) > _MOST_NAMES:
        count = len(active.positions.keys() | positions.keys())
        if count > _MOST_NAMES:
            raise Invalid("LOG-001", f"{active.run.name} would have {count:,} names; a run has {_MOST_NAMES:,} at most")


def _keep(active: ActiveRun, name: str, value: Any) -> Value:
    """Store the bytes of an artifact."""
    if isinstance(value, Path):
        _check_size(name, value)
    return store_result(value, active.client, shown=True)


def _check_size(name: str, path: Path) -> None:
    """Refuse a file or folder that is too large, before any byte of it is copied."""
    most_mb = float(os.environ.get("MAINSPRING_MOST_LOGGED_MB") or _MOST_MB)
    files = path.rglob("*") if path.is_dir() else (path,)
    size_mb = sum(each.stat().st_size for each in files if each.is_file()) / 1e6
    if size_mb > most_mb:
        kind = "folder" if path.is_dir() else "file"
        raise Invalid("LOG-002", f"{name}: the {kind} {path} has {size_mb:,.0f} MB, above {most_mb:,.0f} MB")


def _prepare_param(value: Any) -> Any:
    if type(value) is float and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return value if is_json(value) and len(repr(value)) <= _MOST_JSON else _shorten(value)


def _shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MOST_PARAM else f"{text[: _MOST_PARAM - 3]}..."
