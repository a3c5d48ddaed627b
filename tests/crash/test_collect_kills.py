"""Captured rows reach the dataset once, whatever is killed on the way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from mainspring.domain.errors import NotFound
from mainspring.sdk.datasets import Dataset
from mainspring.serving.captures import Captures, Record
from mainspring.serving.files import CAPTURE, Limits
from mainspring.serving.protocol import Tensor, encode_reply
from mainspring.worker.jobs.collect import collect
from support.serving import make_body

ASK = {"service": "delays"}
SCRIPT = """
from mainspring.sdk.client import get_client
from mainspring.worker.jobs.collect import collect
print(collect({"service": "delays"}, get_client()))
"""


@pytest.fixture
def captures(client):
    made = Captures(client.home.services / "delays" / CAPTURE, "delays", Limits(segment_rows=10))
    yield made
    made.close()


def append(captures, start, stop, tensors=None, outputs=()):
    for number in range(start, stop):
        rows = 1 + number % 3
        body = make_body(f"r{number}", rows=rows, wind=None if number == 2 else number, tensors=tensors)
        probability = Tensor("probability", "FP32", [rows], [number / 100 + row / 1000 for row in range(rows)])
        reply = encode_reply("delays", "1", "late@1", f"r{number}", [probability, *outputs])
        captures.append([Record(f"r{number}", 1.0 + number, 1, "late@1", rows, body, reply)])


def read():
    return Dataset("delays.requests").polars().sort("request_id", "row")


def wanted(stop):
    return sorted((f"r{number}", row) for number in range(stop) for row in range(1 + number % 3))


def test_rows_arrive_once_and_in_full(captures, client):
    append(captures, 0, 20)
    first = collect(ASK, client)
    assert (first["requests"], first["rows"]) == (20, len(wanted(20)))
    assert collect(ASK, client) == first | {"requests": 0, "rows": 0}
    append(captures, 20, 33)
    assert collect(ASK, client)["requests"] == 13
    rows = read()
    assert rows.select("request_id", "row").rows() == wanted(33)
    assert rows.filter(request_id="r7").select("wind", "hour", "code", "revision", "model", "flight_id").rows()[1] == (
        7.0, 6, "0", 1, "late@1", "r7:1"
    )  # fmt: skip
    assert rows.filter(request_id="r7")["probability"].to_list() == pytest.approx([0.07, 0.071], abs=1e-6)
    assert rows.filter(request_id="r2")["wind"].is_null().all()


def test_layouts_may_change_and_names_may_clash(captures, client):
    append(captures, 0, 3)
    append(captures, 3, 4, tensors={
        "row": {"datatype": "INT64", "shape": [1, 1], "data": [[41]]},
        "probability": {"datatype": "BYTES", "shape": [1], "data": ["p"]},
    }, outputs=[Tensor("odds", "FP32", [1, 2], [0.25, 0.75])])  # fmt: skip
    collect(ASK, client)
    rows = read().filter(request_id="r3").to_dicts()[0]
    assert (rows["row"], rows["input.row"]) == (0, 41)
    assert rows["probability"] == "p"
    assert rows["output.probability"] == pytest.approx(0.03)
    assert (rows["odds.0"], rows["odds.1"]) == (0.25, 0.75)
    assert read().filter(request_id="r1")["odds.0"].to_list() == [None, None]


@pytest.mark.parametrize("point", ["table.before_commit", "table.committed"])
def test_a_killed_collector_is_finished_by_the_next(captures, client, point):
    append(captures, 0, 10)
    for start in (10, 20):
        doomed = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "MAINSPRING_CRASH": f"{point}:1"},
            check=False,
            timeout=60,
        )
        assert doomed.returncode == -9
        append(captures, start, start + 10)  # what was captured meanwhile must not hide the commit
    collect(ASK, client)
    assert read().select("request_id", "row").rows() == wanted(30)


def test_two_collectors_at_once(captures, client):
    append(captures, 0, 25)
    threads = [threading.Thread(target=collect, args=(ASK, client)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read().select("request_id", "row").rows() == wanted(25)


def test_an_unknown_service_and_one_without_requests(captures, client):
    with pytest.raises(NotFound, match="SERVE-001"):
        collect({"service": "other"}, client)
    assert collect(ASK, client) == {"dataset": None, "requests": 0, "rows": 0}
