"""Loading a revision beside the live ones: read, warm, measure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from mainspring.domain.errors import Failed, MainspringError
from mainspring.domain.records import Problem
from mainspring.domain.wire import describe
from mainspring.models.columns import Array
from mainspring.models.runtime import Predictor, load_predictor, read_file
from mainspring.security.keyfiles import read_or_make
from mainspring.security.seals import Seal
from mainspring.serving.files import DesiredRevision
from mainspring.serving.schema import Schema, join_columns, make_example

EXAMPLE_FILE = "example.json"
_WARM_ROWS = 32
_SLOW_S = 0.002


class Loaded(msgspec.Struct, frozen=True):
    """A revision in memory.

    Attributes
    ----------
    revision : DesiredRevision
        What was wanted.
    predictor : Predictor
        Warm.
    slow : bool
        Whether 32 rows took longer than 2 ms, or could not be tried, so that it must not run
        on the event loop.
    """

    revision: DesiredRevision
    predictor: Predictor
    slow: bool


def load_revision(revision: DesiredRevision) -> Loaded | Problem:
    """Load and warm a revision; a problem says why it cannot serve.

    Notes
    -----
    Runs the model seven times on the rows of its example, which it must be able to predict; the
    fastest run of 32 rows is its speed. Without an example neutral rows are tried.
    """
    try:
        files = {name: Path(path) for name, path in revision.files.items()}
        seal = Seal(read_or_make(Path(revision.key))) if revision.key else None
        predictor = load_predictor(files, seal=seal)
        return Loaded(revision, predictor, _measure(predictor, files) > _SLOW_S)
    except MainspringError as fault:
        return describe(fault)
    except Exception as fault:  # noqa: BLE001 - a model's library raises what it likes
        what = f"{revision.model} could not be loaded: {type(fault).__name__}: {fault}"
        return describe(Failed("SERVE-018", what, model=revision.model))


def check_outputs(predictor: Predictor, outputs: Mapping[str, Array], rows: int) -> None:
    """Refuse outputs that do not fit the signature (SERVE-010), so that no caller gets another's rows."""
    for column in predictor.signature.outputs:
        values = outputs.get(column.name)
        if values is None or len(values) != rows or values.size != rows * column.width:
            got = "nothing" if values is None else f"shape {list(values.shape)}"
            raise Failed("SERVE-010", f"the model gave {got} as {column.name!r} for {rows:,} rows")


def _measure(predictor: Predictor, files: Mapping[str, Path]) -> float:
    """Return the seconds of the fastest run of 32 rows; infinity when there is nothing to try."""
    inputs = predictor.signature.inputs
    if EXAMPLE_FILE in files:
        asked = Schema(inputs).read(read_file(files, EXAMPLE_FILE))
        return _time(predictor, join_columns(inputs, [asked.columns]))
    try:
        return _time(predictor, make_example(inputs, 1))
    except Exception:  # noqa: BLE001 - neutral rows may be nonsense to this model
        return float("inf")


def _time(predictor: Predictor, example: Mapping[str, Array]) -> float:
    fastest = float("inf")
    for rows in (1, 1, 2, *[_WARM_ROWS] * 4):
        columns = {name: np.resize(values, rows) for name, values in example.items()}
        start = time.perf_counter()
        outputs = predictor.predict(columns)
        if rows == _WARM_ROWS:
            fastest = min(fastest, time.perf_counter() - start)
        check_outputs(predictor, outputs, rows)
    return fastest
