"""Collecting what a service answered into the dataset ``SERVICE.requests``, each row once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.domain.errors import NotFound
from mainspring.domain.home import name_folder
from mainspring.serving.captures import START, Cursor, Record, read_segments
from mainspring.serving.files import CAPTURE

if TYPE_CHECKING:
    import polars as pl

    from mainspring.domain.records import Version
    from mainspring.sdk.client import Client

BATCH_ROWS = 100_000
_LOCK = "collect.lock"
_OWN = ("request_id", "row", "revision", "model", "answered_at")


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class _Asked(msgspec.Struct):
    inputs: list[_Tensor]


class _Answered(msgspec.Struct):
    outputs: list[_Tensor]


_asked = msgspec.json.Decoder(_Asked)
_answered = msgspec.json.Decoder(_Answered)


def collect(arguments: dict[str, Any], client: Client) -> dict[str, Any]:
    """Copy a service's new captures into its dataset; the job ``collect``.

    Parameters
    ----------
    arguments : dict
        ``service``: its name.
    client : Client
        Of the home.

    Returns
    -------
    dict
        ``dataset``, the latest version or None before the first row; ``requests`` and ``rows``
        that were new.

    Raises
    ------
    NotFound
        SERVE-001 when there is no such service.
    Failed
        SERVE-016 when a capture segment is damaged.

    Notes
    -----
    Columns: ``request_id``, ``row``, ``revision``, ``model``, ``answered_at``, then inputs with
    the context, then outputs; an output of several values has one column each, ``NAME.0`` and so
    on. A name that is taken gets the prefix ``input.`` or ``output.``.

    Guarantees: each captured row is in the dataset once, whatever is killed. The place up to
    which captures were read is the number of the table's transaction, in the same commit as the
    rows, so that the table itself says where to go on.
    """
    from mainspring.data.places import place_table
    from mainspring.data.tables import Table
    from mainspring.sdk.commits import finish_commits
    from mainspring.sdk.writes import write_rows

    service: str = arguments["service"]
    folder = client.home.service_folder(client.project, service)
    if not (folder / CAPTURE).is_dir():
        raise NotFound("SERVE-001", f"no service is called {service!r}", name=service)
    name, app = f"{service}.requests", f"service/{service}"
    version: Version | None = None
    requests = rows = 0
    with _hold(folder):
        reached = Table(place_table(client.home, name_folder(client.project, name))).reached(app)
        after = START if reached < 0 else Cursor.at(reached)
        for records, cursor in read_segments(folder / CAPTURE, after, limit_rows=BATCH_ROWS):
            frame = make_frame(records)
            version = write_rows(frame, name, mode="append", key=["request_id", "row"], app=(app, cursor.position))
            requests += len(records)
            rows += frame.height
        version = version or finish_commits(client, name)
    return {"dataset": version.reference if version else None, "requests": requests, "rows": rows}


def make_frame(records: Sequence[Record]) -> pl.DataFrame:
    """Turn captured requests into rows; requests of another layout lack columns and have nulls there."""
    import polars as pl

    layouts: dict[tuple[tuple[str, str], ...], list[tuple[Record, list[_Tensor]]]] = {}
    for record in records:
        tensors = _name_columns(_asked.decode(record.body).inputs, _answered.decode(record.reply).outputs)
        layouts.setdefault(tuple((each.name, each.datatype) for each in tensors), []).append((record, tensors))
    return pl.concat([_make_part(part) for part in layouts.values()], how="diagonal_relaxed")


def _make_part(part: Sequence[tuple[Record, list[_Tensor]]]) -> pl.DataFrame:
    import polars as pl

    types: dict[str, Any] = {
        "FP32": pl.Float32, "FP64": pl.Float64, "INT64": pl.Int64, "BOOL": pl.Boolean, "BYTES": pl.String
    }  # fmt: skip
    own = [
        pl.Series("request_id", [record.id for record, _ in part for _ in range(record.rows)], pl.String),
        pl.Series("row", [row for record, _ in part for row in range(record.rows)], pl.Int64),
        pl.Series("revision", [record.revision for record, _ in part for _ in range(record.rows)], pl.Int64),
        pl.Series("model", [record.model for record, _ in part for _ in range(record.rows)], pl.String),
        pl.Series(
            "answered_at",
            [moment for record, _ in part for moment in [_to_datetime(record.time)] * record.rows],
            pl.Datetime("us"),
        ),
    ]
    columns = [
        pl.Series(tensor.name, [value for _, tensors in part for value in tensors[index].data], types[tensor.datatype])
        for index, tensor in enumerate(part[0][1])
    ]
    return pl.DataFrame([*own, *columns])


def _name_columns(inputs: list[_Tensor], outputs: list[_Tensor]) -> list[_Tensor]:
    """Return one flat tensor for each column, in the order of names, with names that are free."""
    taken = set(_OWN)
    columns = []
    for prefix, tensors in (("input", inputs), ("output", outputs)):
        for tensor in sorted(_flatten(tensors), key=lambda each: each.name):
            if tensor.name in taken:
                tensor.name = f"{prefix}.{tensor.name}"
            taken.add(tensor.name)
            columns.append(tensor)
    return columns


def _flatten(tensors: list[_Tensor]) -> Iterator[_Tensor]:
    for tensor in tensors:
        data = tensor.data
        if data and isinstance(data[0], list):
            data = [value for row in data for value in row]
        width = tensor.shape[1] if len(tensor.shape) > 1 else 1
        if width == 1:
            yield _Tensor(tensor.name, tensor.datatype, [len(data)], data)
        for place in range(width if width > 1 else 0):
            yield _Tensor(f"{tensor.name}.{place}", tensor.datatype, [len(data) // width], data[place::width])


def _to_datetime(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


@contextmanager
def _hold(folder: Path) -> Iterator[None]:
    """Be the only collector of a service; a killed one lets go."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
