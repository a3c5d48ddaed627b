"""What a check looks at: the requests of a service, their outcomes, and the model's training rows."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from mainspring.domain.errors import Invalid, MainspringError, NotFound
from mainspring.domain.lists import read_all
from mainspring.domain.messages import ListRenewals
from mainspring.domain.records import Version
from mainspring.domain.states import CLOSED
from mainspring.models.columns import to_array
from mainspring.models.folders import read_folder
from mainspring.monitoring.check import Labels, Reference, Requests, Settings, learn
from mainspring.monitoring.performance import Floats
from mainspring.monitoring.policy import Attempt
from mainspring.sdk.datasets import Dataset
from mainspring.sdk.models import Model

if TYPE_CHECKING:
    import polars as pl

    from mainspring.sdk.client import Client

_OUTPUTS = ("output.probability", "probability")  # the first where an input has the name, too


def list_watched(model: Version, settings: Settings) -> list[str]:
    """Return the columns whose drift is watched."""
    if isinstance(settings.drift, list):
        return settings.drift
    if not settings.drift:
        return []
    hidden = model.details.get("sensitive", ())  # no plane captures those
    return [name for name in _list_inputs(model) if name not in hidden]


def _list_inputs(model: Version) -> list[str]:
    """Return the names of a model's inputs; a folder that an MLflow client registered tells its own."""
    if "signature" in model.details:
        return [column["name"] for column in model.details["signature"]["inputs"]]
    folder = read_folder(Model.of(model).files)
    return list(folder.types or folder.example)


def read_requests(
    dataset: Dataset, watched: list[str], settings: Settings, since: float | None, until: float
) -> Requests:
    """Read the requests whose event time lies in ``(since, until]``.

    Raises
    ------
    Invalid
        MON-001 when a column was not captured, MON-005 when an event time cannot be read.

    Notes
    -----
    Requests without an event time, such as those from before the monitor, are left out.
    """
    import polars as pl

    assert settings.event_time is not None
    schema = dataset.schema
    key = settings.key if settings.labels is not None else None
    needed = [settings.event_time, *([key] if key else []), *watched]
    _require(needed, schema, f"the requests {dataset.reference}")
    score = next((name for name in _OUTPUTS if name in schema), None) if settings.performance else None
    names = list(dict.fromkeys([*needed, "model", *([score] if score else [])]))
    rows = dataset.scan().select(*names).polars()
    times = read_times(rows[settings.event_time])
    keep = (times <= until) & (times > (since if since is not None else -np.inf))
    rows, times = rows.filter(pl.Series(keep)), times[keep]
    return Requests(
        times,
        {name: to_array(rows[name]) for name in watched},
        None if score is None else rows[score].cast(pl.Float64).to_numpy(),
        to_array(rows["model"]),
        to_array(rows[key].cast(pl.String)) if key else None,
    )


def read_labels(settings: Settings, until: float) -> Labels | None:
    """Read the outcomes known up to an event time; None when the monitor has none or nothing was written.

    Raises
    ------
    Invalid
        MON-004 when the key is missing from them, or not unique; MON-001 when the target is, MON-005
        when it is no number or truth value.
    """
    import polars as pl

    if settings.labels is None:
        return None
    dataset = Dataset(settings.labels)
    try:
        schema = dataset.schema
    except NotFound:
        return None
    assert settings.key is not None
    assert settings.target is not None
    where = f"the labels {dataset.reference}"
    if settings.key not in schema:
        raise Invalid("MON-004", f"{where} have no key {settings.key!r}", column=settings.key, columns=schema.names())
    _require([settings.target], schema, where)
    timed = settings.event_time if settings.event_time in schema else dataset.event_time
    rows = dataset.scan().select(*dict.fromkeys(name for name in (settings.key, settings.target, timed) if name))
    frame = rows.polars()
    times = read_times(frame[timed]) if timed else np.full(frame.height, np.nan)
    keep = ~(times > until)
    frame, times = frame.filter(pl.Series(keep)), times[keep]
    outcomes = frame[settings.target]
    if not outcomes.dtype.is_numeric() and outcomes.dtype != pl.Boolean:
        raise Invalid("MON-005", f"{where} hold {outcomes.dtype} in {outcomes.name!r}", column=outcomes.name)
    keys = frame[settings.key].cast(pl.String)
    twice = keys.filter(keys.is_duplicated())
    if twice.len():
        raise Invalid("MON-004", f"{where} have the key {twice[0]!r} more than once", key=twice[0])
    return Labels(to_array(keys), outcomes.cast(pl.Float64).to_numpy(), times)


def require_two_classes(labels: Labels, settings: Settings) -> None:
    """Refuse outcomes that a probability cannot be compared with.

    Raises
    ------
    Invalid
        MON-005 when an outcome is neither 0 nor 1.
    """
    known = labels.outcomes[~np.isnan(labels.outcomes)]
    others = known[(known != 0) & (known != 1)]
    if len(others):
        what = (
            f"the labels {settings.labels} hold {others[0]:g} in {settings.target!r}, the model answers a probability"
        )
        raise Invalid("MON-005", what, column=settings.target)


def find_reference(
    model: Version, watched: list[str], settings: Settings, known: dict[str, str] | None, client: Client
) -> tuple[Reference, dict[str, str]]:
    """Return what the model was trained on, learnt once and kept as a blob.

    Parameters
    ----------
    known : dict or None
        What an earlier call returned.

    Returns
    -------
    tuple of Reference and dict
        The reference; where it is kept, for the next call.

    Raises
    ------
    Invalid
        MON-001 when a watched column is not in the training rows, MON-003 when they span too few
        blocks, MON-007 when the model does not say what it was trained on.
    """
    if not settings.drift and not model.details.get("trained_on"):
        return Reference(0, 0.0), {"key": "", "digest": ""}
    dataset = _find_training(model, watched)
    event_time = dataset.event_time or settings.event_time
    assert event_time is not None
    parts = [dataset.version.digest, watched, event_time, settings.budget, settings.block_s]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    if known is not None and known["key"] == key and client.blobs.exists(known["digest"]):
        return msgspec.json.decode(client.blobs.get(known["digest"]), type=Reference), known
    _require([event_time, *watched], dataset.schema, f"the training rows {dataset.reference}")
    rows = dataset.scan().select(*dict.fromkeys([event_time, *watched])).polars().drop_nulls(event_time)
    reference = learn({name: to_array(rows[name]) for name in watched}, read_times(rows[event_time]), settings)
    return reference, {"key": key, "digest": client.blobs.put(msgspec.json.encode(reference))}


def list_attempts(client: Client, service: str, until: float) -> tuple[Attempt, ...]:
    """Return the renewals of a service before an event time, oldest first."""
    renewals = read_all(client.ask, ListRenewals(service=service, limit=1000))
    found = [each for each in renewals if each.event_time < until]
    return tuple(
        # One that is under way counts against the budget and not as a refusal.
        Attempt(each.event_time, each.state == "promoted" or each.state not in CLOSED)
        for each in sorted(found, key=lambda each: each.event_time)
    )


def read_times(column: pl.Series) -> Floats:
    """Return seconds since 1970 UTC of times, numbers or ISO 8601 text; NaN where there is none.

    Raises
    ------
    Invalid
        MON-005 when a text is no time.
    """
    import polars as pl

    if column.dtype.is_temporal():
        seconds = column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
    elif column.dtype == pl.String:
        known = {text: _read_time(text, column.name) for text in column.drop_nulls().unique()}
        seconds = column.replace_strict(known, default=None, return_dtype=pl.Float64)
    else:
        seconds = column.cast(pl.Float64)
    return seconds.to_numpy()


def _read_time(text: str, name: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("MON-005", f"{name} {text!r} is no time in ISO 8601", column=name) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _find_training(model: Version, watched: list[str]) -> Dataset:
    """Return the largest dataset of training that has the watched columns."""
    references = model.details.get("trained_on") or []
    if not references:
        raise Invalid("MON-007", f"{model.reference} does not say what it was trained on", model=model.reference)
    fitting: list[tuple[int, Dataset]] = []
    nearest: tuple[int, str, list[str]] | None = None
    for reference in references:
        dataset = Dataset(reference)
        try:
            missing = [name for name in watched if name not in dataset.schema]
        except (MainspringError, OSError):  # its files may be gone
            continue
        if not missing and dataset.event_time is not None:
            fitting.append((dataset.rows, dataset))
        elif missing and (nearest is None or len(missing) < nearest[0]):
            nearest = len(missing), dataset.reference, missing
    if fitting:
        return max(fitting, key=lambda each: each[0])[1]
    if nearest is not None:
        raise Invalid(
            "MON-001", f"the training rows {nearest[1]} have no column {nearest[2][0]!r}", column=nearest[2][0]
        )
    raise Invalid(
        "MON-007",
        f"no training rows of {model.reference} have an event time",
        why="what is usual is learnt from how days differ, and nothing tells the day of a row",
        fix="mark a column of the contract: ms.Field(event_time=True)",
    )


def _require(names: list[str], schema: Any, what: str) -> None:
    for name in names:
        if name not in schema:
            raise Invalid("MON-001", f"{what} have no column {name!r}", column=name, columns=list(schema))
