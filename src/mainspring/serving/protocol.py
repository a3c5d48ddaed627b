"""Open Inference Protocol, version 2, REST: what a service answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mainspring.domain.errors import Invalid, MainspringError, fill_places
from mainspring.models.columns import Array
from mainspring.models.signature import Column

# Statuses that say more than the class of the error does.
_STATUS = {"SERVE-008": 413, "SERVE-009": 429, "SERVE-011": 401}
_RETRY = {"SERVE-003", "SERVE-009", "SERVE-014"}


class Tensor(msgspec.Struct, gc=False):
    """An output of a reply."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class InferReply(msgspec.Struct, gc=False):
    """The answer to an inference request; `model_version` is the number of the revision."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, str]
    outputs: list[Tensor]


class Refusal(msgspec.Struct):
    """What goes out instead: one sentence, its code, and how to mend it."""

    error: str
    code: str
    why: str
    fix: str


_encoder = msgspec.json.Encoder()


def encode(answer: Any) -> bytes:
    """Return an answer as JSON."""
    return _encoder.encode(answer)


def encode_reply(
    service: str,
    revision: str,
    model: str,
    id: str,  # noqa: A002 - the protocol's word
    outputs: Sequence[Tensor],
) -> bytes:
    """Return the reply to one request."""
    return _encoder.encode(InferReply(service, revision, id, {"model": model}, list(outputs)))


def slice_outputs(columns: Sequence[Column], outputs: Mapping[str, Array], start: int, stop: int) -> list[Tensor]:
    """Return the tensors of the rows of one request from the outputs of a batch."""
    tensors = []
    for column in columns:
        values = outputs[column.name][start:stop]
        shape = [stop - start] if column.width == 1 else [stop - start, column.width]
        tensors.append(Tensor(column.name, column.datatype, shape, values.ravel().tolist()))
    return tensors


def choose_outputs(columns: Sequence[Column], wanted: Sequence[str] | None) -> Sequence[Column]:
    """Return the outputs that a caller wants, in the order of the wish.

    Raises
    ------
    Invalid
        SERVE-002 when there is no such output.
    """
    if wanted is None:
        return columns
    by_name = {column.name: column for column in columns}
    for name in wanted:
        if name not in by_name:
            raise Invalid("SERVE-002", f"{name!r} is no output of the service", wanted=list(by_name))
    return [by_name[name] for name in wanted]


def encode_refusal(error: MainspringError, service: str) -> tuple[int, bytes, bool]:
    """Return the HTTP status of an error, its body for callers of the service, and whether they may try again soon."""
    from mainspring.domain.catalogue import find_entry

    status = _STATUS.get(error.code) or find_entry(error.code).http_status
    fix = fill_places(error.fix, {"name": service})
    return status, _encoder.encode(Refusal(error.what, error.code, error.why, fix)), error.code in _RETRY
