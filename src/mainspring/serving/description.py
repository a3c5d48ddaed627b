"""What a service tells of itself: metadata, and statistics in the form of Triton's extension."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mainspring.models.signature import Column
from mainspring.serving.core import Core


class TensorMetadata(msgspec.Struct):
    """An input or output of a model; -1 stands for any number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(msgspec.Struct):
    """What ``GET /v2/models/NAME`` answers."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Duration(msgspec.Struct):
    """How often, and nanoseconds in all."""

    count: int = 0
    ns: int = 0


class InferStatistics(msgspec.Struct):
    """Requests of a revision that succeeded and failed, and the time that its model took."""

    success: Duration
    fail: Duration
    compute_infer: Duration


class ModelStatistics(msgspec.Struct):
    """One revision.

    Attributes
    ----------
    requests, inference_count : int
        Captured requests and rows over the life of the service, exact after any kill.
    execution_count : int
        Batches since the plane started.
    """

    name: str
    version: str
    requests: int
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics


class Statistics(msgspec.Struct):
    """All revisions; `requests` and `rows` are what the captures hold."""

    requests: int
    rows: int
    model_stats: list[ModelStatistics]


def describe_model(name: str, core: Core, revision: int | None = None) -> ModelMetadata:
    """Return the metadata of a service; its inputs are the model's and the context's."""
    lane = core.find_lane(revision)
    return ModelMetadata(
        name,
        [str(number) for number in sorted(core.lanes)],
        lane.predictor.format,
        describe_tensors(lane.schema.columns),
        describe_tensors(lane.predictor.signature.outputs),
    )


def describe_tensors(columns: Sequence[Column]) -> list[TensorMetadata]:
    """Return the metadata of inputs or outputs."""
    return [
        TensorMetadata(column.name, column.datatype, [-1] if column.width == 1 else [-1, column.width])
        for column in columns
    ]


def describe_statistics(name: str, core: Core, revision: int | None = None) -> Statistics:
    """Return the statistics of the service, of one revision if asked."""
    found = []
    for number, status in core.report().items():
        if revision not in {None, number}:
            continue
        lane = core.lanes.get(number)
        success, fail, compute = Duration(), Duration(status.errors), Duration()
        if lane is not None:
            success = Duration(lane.latencies.count, int(lane.latencies.total_us * 1000))
            compute = Duration(lane.batches, int(lane.compute_us * 1000))
        found.append(
            ModelStatistics(
                name,
                str(number),
                status.requests,
                status.rows,
                compute.count,
                InferStatistics(success, fail, compute),
            )
        )
    return Statistics(core.captures.requests, core.captures.rows, found)
