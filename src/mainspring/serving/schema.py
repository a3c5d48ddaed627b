"""What a service takes, compiled to one typed pass over the body of a request."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union

import msgspec
import numpy as np

from mainspring.models.columns import Array
from mainspring.models.signature import Column
from mainspring.serving.diagnosis import FLOAT32_MAX, find_fault, flatten
from mainspring.serving.files import ContextColumn

_VALUES: dict[str, Any] = {
    "FP32": Annotated[float, msgspec.Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)],
    "FP64": float,
    "INT64": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "BOOL": bool,
    "BYTES": str,
}
_NULLABLE = {"FP32", "FP64", "BYTES"}
_DTYPES: dict[str, Any] = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": object}

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Parameters(msgspec.Struct):
    """Parameters of a request; `key` makes the choice of a revision sticky for a caller."""

    key: str | None = None


class RequestedOutput(msgspec.Struct):
    """An output that the caller wants."""

    name: str


class Asked(msgspec.Struct, gc=False):
    """A request that fits the schema.

    Attributes
    ----------
    id : str or None
        The caller's request id.
    key : str or None
        What the choice of a revision hangs on instead of the id.
    rows : int
        At least 1.
    columns : dict of str to list
        Values of every input by name; None where null.
    outputs : list of str or None
        The outputs that are wanted; None: all.
    """

    id: str | None
    key: str | None
    rows: int
    columns: dict[str, list[Any]]
    outputs: list[str] | None


class Schema:
    """The inputs of a service: those of its model's signature and its context.

    Parameters
    ----------
    inputs : sequence of Column
        What the model takes, in order.
    context : sequence of ContextColumn
        What is captured beside it; nullable.

    Notes
    -----
    The decoder is one union of structs tagged by the input's name, so that names, datatypes,
    nulls and ranges are checked in C while the body is parsed: 3 us for 15 inputs of one row,
    15 us for 32 rows. Only a body that it refuses is read again, to say what is wrong.
    """

    def __init__(self, inputs: Sequence[Column], context: Sequence[ContextColumn] = ()) -> None:
        self.context = tuple(context)
        taken = {column.name for column in inputs}
        extra = tuple(Column(each.name, each.datatype, nullable=True) for each in context if each.name not in taken)
        self.columns: tuple[Column, ...] = (*inputs, *extra)
        self._names = {_make_tensor(column): column.name for column in self.columns}
        request = msgspec.defstruct(
            "Request",
            [
                ("inputs", list[Union[tuple(self._names)]]),  # type: ignore[misc] # noqa: UP007 - made at run time
                ("id", Id | None, None),
                ("parameters", Parameters | None, None),
                ("outputs", list[RequestedOutput] | None, None),
            ],
            gc=False,
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(request)

    def read(self, body: bytes) -> Asked:
        """Read and check a request.

        Parameters
        ----------
        body : bytes
            JSON of an Open Inference Protocol request.

        Raises
        ------
        Invalid
            SERVE-002 and SERVE-004 to SERVE-007: the first thing that is wrong with it.
        """
        asked = self._try(body)
        if asked is None:
            flat = flatten(body)
            asked = self._try(flat) if flat is not None else None
        if asked is None:
            raise find_fault(body if flat is None else flat, self.columns)
        return asked

    def _try(self, body: bytes) -> Asked | None:
        try:
            request = self._decoder.decode(body)
        except msgspec.DecodeError:
            return None
        tensors = request.inputs
        names = self._names
        columns = {names[tensor.__class__]: tensor.data for tensor in tensors}
        lengths = set(map(len, columns.values()))
        if len(columns) != len(names) or len(tensors) != len(names) or len(lengths) != 1:
            return None
        rows = lengths.pop()
        if not rows or not {tensor.shape for tensor in tensors} <= {(rows,), (rows, 1)}:
            return None
        return Asked(
            request.id,
            request.parameters.key if request.parameters else None,
            rows,
            columns,
            [output.name for output in request.outputs] if request.outputs else None,
        )


def identify(inputs: Sequence[Column], context: Sequence[ContextColumn]) -> Hashable:
    """Return what two schemas share when they accept the same requests, in whatever order."""
    columns = frozenset((column.name, column.datatype, column.nullable) for column in inputs)
    return columns, frozenset((column.name, column.datatype) for column in context)


def join_columns(inputs: Sequence[Column], parts: Sequence[Mapping[str, list[Any]]]) -> dict[str, Array]:
    """Turn the columns of several requests into the arrays of one batch, in the model's order."""
    batch: dict[str, Array] = {}
    for column in inputs:
        values = parts[0][column.name]
        if len(parts) > 1:
            values = [value for part in parts for value in part[column.name]]
        batch[column.name] = np.array(values, dtype=_DTYPES[column.datatype])
    return batch


def make_example(inputs: Sequence[Column], rows: int) -> dict[str, Array]:
    """Return neutral values for every input, to warm a model that came without an example."""
    fill: Mapping[str, Any] = {"BOOL": False, "BYTES": ""}
    return {
        column.name: np.full(
            rows,
            column.categories[0] if column.categories else fill.get(column.datatype, 0),
            dtype=_DTYPES[column.datatype],
        )
        for column in inputs
    }


def _make_tensor(column: Column) -> type[msgspec.Struct]:
    value = _VALUES[column.datatype]
    if column.nullable and column.datatype in _NULLABLE:
        value = value | None
    return msgspec.defstruct(
        "Tensor",
        [("shape", tuple[int, ...]), ("datatype", Literal[column.datatype]), ("data", list[value])],  # type: ignore[valid-type]
        tag=column.name,
        tag_field="name",
        gc=False,
    )
