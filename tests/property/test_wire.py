"""Frames of the wire: what is sent arrives, and no bytes break the reader."""

import importlib
import itertools
import pkgutil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring import domain
from mainspring.domain import messages, records
from mainspring.domain.answers import ANSWERS
from mainspring.domain.errors import Invalid
from mainspring.domain.messages import Command
from mainspring.domain.wire import (
    HEADER,
    MAX_FRAME_BYTES,
    Asked,
    Frames,
    decode_reply,
    decode_request,
    encode_problem,
    encode_reply,
    encode_request,
)

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.integers(0, 2**32),
    st.dictionaries(st.text(max_size=8), json, max_size=5),
    st.text(max_size=40),
    st.text(max_size=9),
)
def test_a_request_arrives_as_it_was_sent(number, params, key, project):
    command = messages.BeginRun(kind="step", name="fit", params=params)
    frame = encode_request(number, command, key, project=project, token=key)
    assert HEADER.unpack(frame[: HEADER.size]) == (len(frame) - HEADER.size,)
    assert decode_request(frame[HEADER.size :]) == Asked(number, command, key, project, key)


@given(st.integers(0, 2**32), json)
def test_an_answer_arrives_as_it_was_given(number, details):
    reason = records.Reason("x", ["line"], details)
    assert decode_reply(encode_reply(number, reason)[HEADER.size :], messages.Explain) == (number, reason)


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=8))
def test_messages_are_cut_apart_however_they_arrive(messages, cuts):
    stream = b"".join(HEADER.pack(len(each)) + each for each in messages)
    frames, places = Frames(), [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    arrived = [frames.take(stream[start:end]) for start, end in itertools.pairwise(places)]
    assert list(itertools.chain.from_iterable(arrived)) == messages
    assert frames.take(HEADER.pack(1)) == []
    assert frames.take(b"x") == [b"x"]


def test_a_message_that_is_too_large_is_refused_before_it_has_arrived():
    with pytest.raises(Invalid) as caught:
        Frames().take(HEADER.pack(MAX_FRAME_BYTES + 1))
    assert (caught.value.code, caught.value.what) == ("HOME-005", "a message of 67,108,865 bytes")


@given(st.text(max_size=50), st.dictionaries(st.sampled_from(["a", "b"]), json))
def test_a_refusal_arrives_with_all_its_parts(what, context):
    error = Invalid("DATA-001", what, **context)
    with pytest.raises(Invalid) as caught:
        decode_reply(encode_problem(1, error)[HEADER.size :], messages.GetRun)
    assert (caught.value.code, caught.value.what, caught.value.context) == ("DATA-001", what, context)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(body):
    try:
        command = decode_request(body).command
    except Invalid as error:
        refused = error.code
    else:
        refused = None
        assert isinstance(command, Command)
    assert refused in {None, "HOME-004"}


# Beyond what any interpreter allows: some 1,000 levels until 3.12, some 10,000 from 3.13 on.
@pytest.mark.parametrize("depth", [20_000, 200_000])
def test_bytes_that_nest_deep_do_not_break_the_reader(depth):
    inner = b"\x84" + b"".join(
        msgspec.msgpack.encode(each) for each in ("type", "BeginRun", "kind", "step", "name", "fit", "details")
    )
    body = b"\x82" + msgspec.msgpack.encode("id") + b"\x01" + msgspec.msgpack.encode("command") + inner
    with pytest.raises(Invalid, match="HOME-004"):
        decode_request(body + b"\x91" * depth + b"\xc0")


@pytest.mark.parametrize("value", [2**64, object(), 1j])
def test_a_value_that_does_not_travel_is_named_before_it_is_sent(value):
    command = messages.BeginRun(kind="step", name="fit", params={"x": value})
    with pytest.raises(Invalid) as caught:
        encode_request(1, command)
    assert caught.value.code == "HOME-020"
    assert "BeginRun" in caught.value.what


def test_a_value_that_holds_itself_is_named():
    loop = []
    loop.append(loop)
    with pytest.raises(Invalid, match="HOME-020"):
        encode_request(1, messages.BeginRun(kind="step", name="fit", params={"x": loop}))


def test_every_command_has_an_answer():
    modules = [
        importlib.import_module(f"mainspring.domain.{each.name}") for each in pkgutil.iter_modules(domain.__path__)
    ]
    things = [each for module in modules for each in vars(module).values()]
    named = {each for each in things if isinstance(each, type) and issubclass(each, Command)}
    assert named - {Command} == set(ANSWERS)


def test_a_run_ends_in_no_state_that_it_could_leave():
    command = messages.FinishRun(run_id="0" * 32, attempt=1, fence=1, state="queued")
    with pytest.raises(Invalid, match="HOME-004"):
        decode_request(encode_request(1, command)[HEADER.size :])
