"""What is wrong with a request that a service refused; off the hot path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.models.signature import Column

FLOAT32_MAX = 3.4028234663852886e38
_TYPES: dict[str, set[type]] = {
    "FP32": {int, float},
    "FP64": {int, float},
    "INT64": {int},
    "BOOL": {bool},
    "BYTES": {str},
}


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[dict[str, Any]] | None = None


def flatten(body: bytes) -> bytes | None:
    """Return the request with nested data flattened, as the protocol allows it; None: nothing to flatten."""
    try:
        request = msgspec.json.decode(body)
        nested = False
        for tensor in request["inputs"]:
            if tensor["data"] and isinstance(tensor["data"][0], list):
                tensor["data"] = [value for row in tensor["data"] for value in row]
                nested = True
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    return msgspec.json.encode(request) if nested else None


def find_fault(body: bytes, columns: Sequence[Column]) -> Invalid:
    """Return the error that names the first thing wrong with a refused request.

    Parameters
    ----------
    body : bytes
        The request.
    columns : sequence of Column
        What the service takes.
    """
    if not body.strip():
        return Invalid("SERVE-002", "the body is empty")
    try:
        request = msgspec.json.decode(body, type=_Request)
    except msgspec.ValidationError as fault:
        return Invalid("SERVE-002", f"the request does not follow the protocol: {fault}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        return Invalid("SERVE-002", f"the body is not JSON: {fault}")
    if request.id is not None and not 1 <= len(request.id) <= 256:
        return Invalid("SERVE-002", f"the id has {len(request.id):,} characters", why="an id has 1 to 256 characters")
    found = _find_name(request.inputs, columns)
    if found is None:
        rows = len(request.inputs[0].data)
        by_name = {column.name: column for column in columns}
        for tensor in request.inputs:
            found = found or _find_value(tensor, by_name[tensor.name], rows)
    return found or Invalid("SERVE-002", "the request does not follow the protocol")


def _find_name(tensors: list[_Tensor], columns: Sequence[Column]) -> Invalid | None:
    wanted = [column.name for column in columns]
    got = [tensor.name for tensor in tensors]
    missing = [name for name in wanted if name not in got]
    extra = [name for name in got if name not in wanted]
    if missing:
        what = f"input {missing[0]!r} is missing" + (f", and {len(missing) - 1} more" if len(missing) > 1 else "")
        if extra:
            what += f"; {extra[0]!r} is no input"
        return Invalid("SERVE-004", what, missing=missing, extra=extra, wanted=wanted)
    if extra:
        return Invalid("SERVE-005", f"{extra[0]!r} is no input of the service", extra=extra, wanted=wanted)
    twice = [name for name in wanted if got.count(name) > 1]
    if twice:
        return Invalid("SERVE-005", f"input {twice[0]!r} was sent {got.count(twice[0])} times", extra=twice)
    return None


def _find_value(tensor: _Tensor, column: Column, rows: int) -> Invalid | None:
    name = column.name
    if tensor.datatype != column.datatype:
        return Invalid(
            "SERVE-006",
            f"input {name!r} is {tensor.datatype}, the service takes {column.datatype}",
            input=name,
            wanted=column.datatype,
            got=tensor.datatype,
        )
    count = len(tensor.data)
    if count == 0:
        return Invalid("SERVE-007", f"input {name!r} has no rows", input=name, shape=tensor.shape)
    if tensor.shape not in ([count], [count, 1]):
        what = f"input {name!r} says shape {tensor.shape} and holds {count:,} values, the service takes [rows]"
        return Invalid("SERVE-007", what, input=name, shape=tensor.shape)
    if count != rows:
        return Invalid("SERVE-007", f"input {name!r} has {count:,} rows, the inputs before it {rows:,}", input=name)
    for row, value in enumerate(tensor.data):
        if value is None and not column.nullable:
            return Invalid("SERVE-006", f"input {name!r} is null in row {row}, where none may be", input=name, row=row)
        if value is not None and not _fits(value, column.datatype):
            what = f"input {name!r} is {_show(value)} in row {row}, the service takes {column.datatype}"
            return Invalid("SERVE-006", what, input=name, row=row, wanted=column.datatype)
    return None


def _fits(value: Any, datatype: str) -> bool:
    if type(value) not in _TYPES[datatype]:
        return False
    if datatype == "INT64":
        return bool(-(2**63) <= value < 2**63)
    return datatype != "FP32" or bool(abs(value) <= FLOAT32_MAX)


def _show(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 40 else text[:37] + "..."
