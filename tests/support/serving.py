"""Small real models, service folders and plane processes for the tests of serving."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mainspring.models.signature import Column, Signature
from mainspring.serving.files import (
    CAPTURE,
    ContextColumn,
    Desired,
    DesiredRevision,
    find_plane,
    read_status,
    write_desired,
)

INPUTS = (Column("wind", "FP32", nullable=True), Column("hour", "INT64"), Column("code", "BYTES"))
OUTPUTS = (Column("label", "INT64"), Column("probability", "FP32"))
CONTEXT = [ContextColumn("flight_id", "BYTES"), ContextColumn("event_time", "FP64")]


def save_model(folder: Path, *, scale=0.1, inputs=INPUTS, slow=0) -> dict[str, str]:
    """Write a model that gives sigmoid(scale * wind + hour / 10 + float(code)).

    The text `code` is read as a number by the model itself, so a text such as "x" fits the
    signature and makes the model fail. `slow` is the side of a matrix product in every run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    types = {"FP32": TensorProto.FLOAT, "INT64": TensorProto.INT64, "BYTES": TensorProto.STRING}
    given = [helper.make_tensor_value_info(each.name, types[each.datatype], [None, 1]) for each in inputs]
    constants = {"scale": np.float32(scale), "tenth": np.float32(0.1), "half": np.float32(0.5), "zero": np.float32(0)}
    nodes = [
        helper.make_node("Mul", ["wind", "scale"], ["a"]),
        helper.make_node("Cast", ["hour"], ["hour_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["hour_float", "tenth"], ["b"]),
        helper.make_node("Cast", ["code"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["a", "b", "c", *(["wait"] if slow else [])], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
        helper.make_node("Greater", ["probability", "half"], ["late"]),
        helper.make_node("Cast", ["late"], ["label"], to=TensorProto.INT64),
    ]
    if slow:
        constants["matrix"] = np.full((slow, slow), 1e-3, dtype=np.float32)
        nodes[:0] = [
            helper.make_node("Cast", ["hour"], ["h"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["h"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["matrix", "mean"], ["left"]),
            helper.make_node("MatMul", ["left", "matrix"], ["product"]),
            helper.make_node("ReduceMean", ["product"], ["m"], keepdims=0),
            helper.make_node("Mul", ["m", "zero"], ["wait"]),
        ]
    made = [
        helper.make_tensor_value_info("label", TensorProto.INT64, [None, 1]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1]),
    ]
    weights = [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "test", given, made, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    signature = Signature(tuple(inputs), OUTPUTS)
    (folder / "signature.json").write_bytes(msgspec.json.encode(signature))
    example = {"wind": [1.0, 2.0], "hour": [6, 7], "code": ["0", "1"]}
    tensors = [
        {"name": each.name, "shape": [2, 1], "datatype": each.datatype, "data": example[each.name]} for each in inputs
    ]
    (folder / "example.json").write_bytes(msgspec.json.encode({"inputs": tensors}))
    return {name: str(folder / name) for name in ("model.onnx", "signature.json", "example.json")}


def make_revision(number: int, files: dict[str, str], *, weight=100, state="live") -> DesiredRevision:
    return DesiredRevision(number, f"late@{number}", f"digest{number}", files, weight, state)


def make_body(request_id=None, *, rows=1, wind=1.0, hour=6, code="0", tensors=None) -> bytes:
    """Return a request; `tensors` replace whole tensors (None removes one) or add some."""
    known = {
        "wind": {"datatype": "FP32", "shape": [rows], "data": [wind] * rows},
        "hour": {"datatype": "INT64", "shape": [rows], "data": [hour] * rows},
        "code": {"datatype": "BYTES", "shape": [rows], "data": [code] * rows},
        "flight_id": {"datatype": "BYTES", "shape": [rows], "data": [f"{request_id}:{row}" for row in range(rows)]},
        "event_time": {"datatype": "FP64", "shape": [rows], "data": [1.5] * rows},
    }
    known |= tensors or {}
    request = {"inputs": [{"name": name, **each} for name, each in known.items() if each is not None]}
    if request_id is not None:
        request["id"] = request_id
    return msgspec.json.encode(request)


def expect(wind=1.0, hour=6, code="0", scale=0.1) -> float:
    return float(1 / (1 + np.exp(-(scale * wind + hour / 10 + float(code)))))


class Process:
    """A plane of its own process on a folder."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        with (folder / "plane.log").open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "mainspring.serving.plane", str(folder)],
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )

    def wait_ready(self, generation=1, timeout_s=30.0):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            status = read_status(self.folder)
            if status and status.pid == self.child.pid and status.generation >= generation and status.ready:
                return status
            if self.child.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError((self.folder / "plane.log").read_text()[-4000:] or "the plane is not ready")

    @property
    def port(self) -> int:
        return int((self.folder / "port").read_text())

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self) -> int:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=30)


@contextmanager
def run_plane(folder: Path, desired: Desired | None = None, **environment: str):
    """Run a plane until the block ends, then stop it."""
    if desired is not None:
        write_desired(folder, desired)
    process = Process(folder, **environment)
    try:
        yield process
    finally:
        if process.child.poll() is None:
            process.kill()


def make_desired(files, *, generation=1, **changes) -> Desired:
    return msgspec.structs.replace(
        Desired(generation, "delays", CONTEXT, [make_revision(1, files)]),
        **changes,
    )


def ask(port: int, method: str, path: str, body: bytes | None = None, headers=None):
    """Send one request on a connection of its own; return status, headers and decoded body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, dict(reply.getheaders()), msgspec.json.decode(content) if content else None
    finally:
        connection.close()


def captured_ids(folder: Path) -> list[str]:
    from mainspring.serving.captures import read_segments

    return [record.id for batch, _ in read_segments(folder / CAPTURE) for record in batch]


def wait_for_planes(home, timeout_s=30.0):
    """Wait until no plane of a home lives any more."""
    deadline = time.monotonic() + timeout_s
    while home.services.exists() and any(find_plane(folder) for folder in home.services.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
