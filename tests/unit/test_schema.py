"""One clear error for each way in which a request can be wrong; none for a right one."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.domain.errors import Invalid
from mainspring.models.signature import Column
from mainspring.serving.schema import Schema, identify, join_columns
from support.serving import CONTEXT, INPUTS, make_body

SCHEMA = Schema(INPUTS, CONTEXT)


def tensor(datatype, data, shape=None):
    return {"datatype": datatype, "shape": shape or [len(data)], "data": data}


BAD = {
    "empty body": (b"", "SERVE-002", "the body is empty"),
    "malformed": (b'{"inputs": [', "SERVE-002", "the body is not JSON"),
    "not text": (b"\xff\xfe\x00", "SERVE-002", "the body is not JSON"),
    "NaN": (make_body().replace(b"[1.0]", b"[NaN]", 1), "SERVE-002", "the body is not JSON"),
    "not an object": (b"[1]", "SERVE-002", "does not follow the protocol"),
    "no inputs": (b'{"id": "a"}', "SERVE-002", "missing required field `inputs`"),
    "empty inputs": (b'{"inputs": []}', "SERVE-004", "input 'wind' is missing, and 4 more"),
    "number as id": (make_body("a").replace(b'"id":"a"', b'"id":7'), "SERVE-002", "`$.id`"),
    "empty id": (make_body(""), "SERVE-002", "the id has 0 characters"),
    "long id": (make_body("i" * 300), "SERVE-002", "the id has 300 characters"),
    "missing input": (make_body(tensors={"flight_id": None}), "SERVE-004", "input 'flight_id' is missing"),
    "misspelt input": (
        make_body(tensors={"flight_id": None, "flightid": tensor("BYTES", ["a"])}),
        "SERVE-004",
        "input 'flight_id' is missing; 'flightid' is no input",
    ),
    "extra input": (make_body(tensors={"speed": tensor("FP32", [1.0])}), "SERVE-005", "'speed' is no input"),
    "datatype": (
        make_body(tensors={"event_time": tensor("FP32", [1.0])}),
        "SERVE-006",
        "'event_time' is FP32, the service takes FP64",
    ),
    "text for number": (make_body(wind="fast"), "SERVE-006", "input 'wind' is \"fast\" in row 0"),
    "fraction for integer": (make_body(hour=6.5), "SERVE-006", "input 'hour' is 6.5 in row 0, the service takes INT64"),
    "bool for integer": (make_body(hour=True), "SERVE-006", "input 'hour' is true in row 0"),
    "bool for float": (make_body(wind=True), "SERVE-006", "input 'wind' is true in row 0"),
    "number for text": (make_body(code=3), "SERVE-006", "input 'code' is 3 in row 0, the service takes BYTES"),
    "float32 range": (make_body(wind=1e300), "SERVE-006", "in row 0, the service takes FP32"),
    "int64 range": (make_body(hour=2**63), "SERVE-006", "input 'hour' is 9223372036854775808 in row 0"),
    "null integer": (
        make_body(tensors={"hour": tensor("INT64", [None])}),
        "SERVE-006",
        "input 'hour' is null in row 0",
    ),
    "empty batch": (make_body(rows=0), "SERVE-007", "has no rows"),
    "shape": (
        make_body(tensors={"event_time": tensor("FP64", [1.0], [2])}),
        "SERVE-007",
        "says shape [2] and holds 1 values",
    ),
    "rank": (make_body(tensors={"event_time": tensor("FP64", [1.0], [1, 1, 1])}), "SERVE-007", "says shape [1, 1, 1]"),
    "rows differ": (
        make_body(tensors={"event_time": tensor("FP64", [1.0, 2.0])}),
        "SERVE-007",
        "'event_time' has 2 rows, the inputs before it 1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_named(name):
    body, code, what = BAD[name]
    with pytest.raises(Invalid) as fault:
        SCHEMA.read(body)
    assert fault.value.code == code
    assert what in fault.value.what


def test_an_input_sent_twice():
    request = msgspec.json.decode(make_body())
    request["inputs"].append(request["inputs"][0])
    with pytest.raises(Invalid) as fault:
        SCHEMA.read(msgspec.json.encode(request))
    assert (fault.value.code, fault.value.what) == ("SERVE-005", "input 'wind' was sent 2 times")


def test_columns_are_read_by_name_in_any_order_and_shape():
    request = msgspec.json.decode(make_body("a", rows=3, wind=None))
    request["inputs"].reverse()
    for each in request["inputs"][:2]:
        each["shape"] = [3, 1]
        each["data"] = [[value] for value in each["data"]]
    request["parameters"] = {"key": "k", "other": 1}
    request["outputs"] = [{"name": "label"}]
    asked = SCHEMA.read(msgspec.json.encode(request))
    assert (asked.id, asked.key, asked.rows, asked.outputs) == ("a", "k", 3, ["label"])
    assert asked.columns["hour"] == [6, 6, 6]
    assert asked.columns["event_time"] == [1.5, 1.5, 1.5]
    batch = join_columns(INPUTS, [asked.columns, SCHEMA.read(make_body(wind=2.0)).columns])
    assert list(batch) == ["wind", "hour", "code"]
    assert np.array_equal(batch["wind"], np.array([np.nan] * 3 + [2], dtype=np.float32), equal_nan=True)
    assert batch["hour"].dtype == np.int64
    assert batch["code"].dtype == object


def test_schemas_agree_whatever_the_order():
    assert identify(INPUTS, CONTEXT) == identify(INPUTS[::-1], CONTEXT[::-1])
    assert identify(INPUTS, CONTEXT) != identify(INPUTS[1:], CONTEXT)
    assert identify(INPUTS, CONTEXT) != identify([*INPUTS[1:], Column("wind", "FP32")], CONTEXT)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "1"]),
)


@given(
    st.dictionaries(
        st.sampled_from(["wind", "hour", "code", "flight_id", "event_time", "other"]),
        st.one_of(
            st.none(),
            st.builds(
                lambda datatype, data, shape: {"datatype": datatype, "shape": shape or [len(data)], "data": data},
                st.sampled_from(["FP32", "FP64", "INT64", "BOOL", "BYTES"]),
                st.lists(values, max_size=2),
                st.none() | st.lists(st.integers(-1, 3), max_size=2),
            ),
        ),
        max_size=3,
    )
)
def test_every_refusal_says_what_is_wrong(changes):
    """The two readings agree: what the compiled decoder refuses, the diagnosis can explain."""
    body = make_body("a", tensors=changes)
    try:
        asked = SCHEMA.read(body)
    except Invalid as fault:
        said = fault.what
    else:
        said = ""
        assert asked.rows >= 1
        assert all(len(column) == asked.rows for column in asked.columns.values())
        assert changes.get("other") is None
    assert said != "the request does not follow the protocol"
