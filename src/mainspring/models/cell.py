"""The process in which a model that is code runs: ``python -m mainspring.models.cell``, started by `models.apart`."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np

from mainspring.models.apart import Answer, Question, pack, receive, send, unpack
from mainspring.models.columns import Array, count_rows
from mainspring.models.flavors import Tracer, load_flavors
from mainspring.security.unsafe import unpickle_allowed

Ask = Callable[[Mapping[str, Array]], Mapping[str, Any]]

OUTPUTS = ("label", "probability", "value")
_MOST_TEXT = 300


@runtime_checkable
class Opens(Protocol):
    """What stands for a model in its pickle, and is opened here alone."""

    def open(self, folder: Path) -> Ask:
        """Return what answers; `folder` is empty, and there as long as this process."""
        ...


def main() -> int:
    """Open the code that is sent first, then answer rows until the other side has ended."""
    link = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    home = Path(tempfile.mkdtemp(prefix="mainspring-"))
    os.environ["HOME"] = str(home)
    os.chdir(home)
    questions: queue.SimpleQueue[Question] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(link, questions, home), daemon=True).start()
    opened: list[Ask] = []
    while True:
        send(link, msgspec.msgpack.encode(_answer(questions.get(), opened, home)))


def _listen(link: socket.socket, questions: queue.SimpleQueue[Question], home: Path) -> None:
    """Read questions; end this process with its other side, whatever the code does then."""
    try:
        while True:
            questions.put(msgspec.msgpack.decode(receive(link), type=Question))
    except (OSError, EOFError):
        shutil.rmtree(home, ignore_errors=True)
        os._exit(0)


def _answer(question: Question, opened: list[Ask], home: Path) -> Answer:
    try:
        if question.code:
            opened.append(open_code(question.code, home))
            return Answer()
        columns = {name: unpack(column) for name, column in question.columns.items()}
        return Answer({name: pack(values) for name, values in name_answers(opened[0](columns), columns).items()})
    except ModuleNotFoundError as fault:
        return Answer(problem=str(fault), missing=fault.name or "")
    except Exception as fault:  # noqa: BLE001  code of others runs here, and may raise anything
        text = str(fault).strip().partition("\n")[0]
        return Answer(problem=f"{type(fault).__name__}: {text}"[:_MOST_TEXT])


def open_code(content: bytes, folder: Path) -> Ask:
    """Open a pickle; return what answers columns.

    Notes
    -----
    A module of a library that answers tensors is asked by its flavor; else the object gets a Polars frame.
    """
    model = unpickle_allowed(content)
    if isinstance(model, Opens):
        return model.open(folder)
    for flavor in load_flavors():
        if isinstance(flavor, Tracer) and flavor.supports(model):
            return partial(flavor.ask, model)
    return partial(_ask_object, model)


def _ask_object(model: Any, columns: Mapping[str, Array]) -> dict[str, Any]:
    import polars as pl

    rows = pl.DataFrame({name: pl.Series(values.tolist()) for name, values in columns.items()})
    given = getattr(model, "predict", model)(rows)
    probabilities = getattr(model, "predict_proba", None)
    if probabilities is None:
        return {"value": given}
    known = np.asarray(probabilities(rows)).astype(np.float64)
    return {"label": given, "probability": known[:, 1] if known.ndim == 2 and known.shape[1] == 2 else known}


def name_answers(given: Mapping[str, Any], columns: Mapping[str, Array]) -> dict[str, Array]:
    """Return what code answered as outputs of a model: numbers as ``value``, texts alone as ``label``.

    Raises
    ------
    ValueError
        When it is nothing that a model answers, or of another number of rows.
    """
    rows = count_rows(columns)
    outputs = {name: _read(np.asarray(values), name) for name, values in given.items()}
    if list(outputs) == ["value"] and outputs["value"].dtype == object:
        outputs = {"label": outputs["value"]}
    for name, values in outputs.items():
        if name not in OUTPUTS:
            raise ValueError(f"it answers {name!r}, which is none of {', '.join(OUTPUTS)}")
        if values.shape[:1] != (rows,) or values.ndim > 2:
            raise ValueError(f"it answers {name} of shape {list(values.shape)} for {rows:,} rows")
    return {name: values[:, 0] if values.shape[1:] == (1,) else values for name, values in outputs.items()}


def _read(values: Array, name: str) -> Array:
    if values.dtype == object and not any(isinstance(each, str) for each in values.ravel()):
        values = values.astype(np.float64)
    if values.dtype.kind in "OUS":
        return values.astype(object)
    if name != "label" or values.dtype.kind not in "biu":
        return values.astype(np.float64)
    return values.astype(np.bool_ if values.dtype.kind == "b" else np.int64)


if __name__ == "__main__":
    sys.exit(main())
