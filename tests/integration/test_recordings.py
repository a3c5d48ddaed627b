"""The promise to older clients: what they sent is answered, and nothing that they were told is missing."""

import asyncio
import copy
import importlib.util
import json
import socket
import struct
from pathlib import Path

import msgspec
import pytest
from tests.support.recordings import FOLDER, Names, find_breaks, read_recording
from tests.support.relays import HOME_TOKEN, Site

from mainspring.control.server import Server
from mainspring.domain import messages
from mainspring.domain.answers import ANSWERS
from mainspring.domain.errors import Invalid
from mainspring.domain.protocol import BEFORE, PROTOCOL, check_protocol, list_spoken
from mainspring.domain.wire import HEADER, decode_answer, encode_request

KNOWN = {command.__name__: command for command in ANSWERS}


@pytest.fixture(params=[number for number in list_spoken() if (FOLDER / str(number)).exists()])
def spoken(request):
    """A version of the wire that must be answered."""
    return request.param


def test_each_version_that_is_answered_has_been_recorded():
    recorded = {int(path.name) for path in FOLDER.iterdir()}
    assert set(list_spoken()) <= recorded, "run: python tools/recordings.py"
    assert max(recorded) == PROTOCOL


def ask_all(desk, requests):
    """Send frames to a real socket with the use cases of a desk behind it; return what came back."""

    async def play():
        server = Server(desk.home, desk, [])
        await server.start()
        replies = []
        try:
            for make in requests:
                reader, writer = await asyncio.open_unix_connection(str(desk.home.socket))
                body = msgspec.msgpack.encode(make())
                writer.write(HEADER.pack(len(body)) + body)
                (size,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                replies.append(msgspec.msgpack.decode(await reader.readexactly(size)))
                make.hear(replies[-1])
                writer.close()
        finally:
            await server.stop()
        return replies

    return asyncio.run(play())


class Again:
    """A recorded request, to be sent again."""

    def __init__(self, exchange, names, faults, change=lambda request: request):
        self.request, self.reply = exchange["request"], exchange["reply"]
        self.names, self.faults, self.change = names, faults, change

    def __call__(self):
        return self.change(self.names.renew(self.request))

    def hear(self, answered):
        kind = self.request["command"]["type"]
        self.faults += [f"{kind}: {each}" for each in self.names.compare(self.reply, answered)]
        if "problem" in answered and "problem" not in self.reply:
            self.faults.append(f"{kind}: {answered['problem']}")


def play_commands(desk, spoken, **options):
    names, faults = Names(), []
    recorded = [
        each for each in read_recording(spoken, "commands.json") if each["request"]["command"]["type"] != "Stop"
    ]
    ask_all(desk, [Again(each, names, faults, **options) for each in recorded])
    return names, faults


def test_recorded_commands_are_answered_over_the_socket(desk, spoken):
    _, faults = play_commands(desk, spoken)
    assert faults == []


def test_fields_of_later_clients_are_passed_over(desk, spoken):
    def add(request):
        return {**request, "colour": {"red": 1}, "command": {**request["command"], "colour": [{}]}}

    _, faults = play_commands(desk, spoken, change=add)
    assert faults == []


def test_recorded_requests_of_http_are_answered(desk, spoken):
    names, _ = play_commands(desk, spoken)
    site, faults = Site(desk), []
    for exchange in read_recording(spoken, "routes.json"):
        sent, told = names.renew(exchange["request"]), exchange["reply"]
        headers = {name: text.replace("the home's token", HOME_TOKEN) for name, text in sent["headers"].items()}
        content = msgspec.msgpack.encode(sent["command"]) if "command" in sent else sent["content"]
        answer = site(sent["method"], sent["path"], None, headers=headers, content=content)
        read = msgspec.msgpack.decode if "command" in sent else msgspec.json.decode
        here = {"status": answer.status_code, "content": read(answer.content) if answer.content else None}
        where = f"{sent['method']} {sent['path']}"
        if here["status"] != told["status"]:
            faults.append(f"{where}: {here} was {told['status']}")
        faults += [f"{where}: {each}" for each in names.compare(told, here)]
    assert faults == []


def test_messages_mean_what_they_meant(spoken):
    path = Path(__file__).parents[2] / "tools" / "recordings.py"
    spec = importlib.util.spec_from_file_location("recordings", path)
    recordings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recordings)
    present = json.loads(json.dumps(recordings.describe_shapes()))
    recorded = read_recording(spoken, "shapes.json")
    assert find_breaks(recorded, present) == [], "raise PROTOCOL, or add instead of changing"


def test_answers_of_later_servers_are_read(spoken):
    """A client passes over what it does not know."""
    for exchange in read_recording(spoken, "commands.json"):
        kind, body = exchange["request"]["command"]["type"], exchange["reply"].get("body")
        if kind not in KNOWN or not body:
            continue
        items = body if isinstance(body, list) else [body]
        more = [{**each, "colour": {"red": 1}} if isinstance(each, dict) else each for each in items]
        read = decode_answer(msgspec.msgpack.encode(more if isinstance(body, list) else more[0]), KNOWN[kind])
        assert read == decode_answer(msgspec.msgpack.encode(body), KNOWN[kind])


def remove(schema, name):
    del schema["properties"][name]


CHANGES = {
    "a field of a command is gone": (lambda new: remove(new["BeginRun"], "tags"), "BeginRun.tags is lost"),
    "a field of an answer is gone": (lambda new: remove(new["Run"], "host"), "GetRun ->.host is lost"),
    "a field has another type": (
        lambda new: new["Run"]["properties"].update(attempt={"type": "string"}),
        "GetRun ->.attempt is string, was integer",
    ),
    "a field must be sent": (lambda new: new["GetRun"]["required"].append("why"), "GetRun.why must be sent now"),
    "a value is no longer taken": (
        lambda new: new["FinishRun"]["properties"]["state"]["enum"].remove("failed"),
        "FinishRun.state: {'failed'} is understood no more",
    ),
    "a value that nobody knows is answered": (
        lambda new: new["Renewal"]["properties"]["state"]["enum"].append("paused"),
        "ListRenewals ->.items.state: {'paused'} is understood no more",
    ),
    "a command is gone": (lambda new: new.pop("GetRun"), "GetRun is None, was object"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_that_breaks_clients_is_seen(case):
    recorded = read_recording(PROTOCOL, "shapes.json")
    present = copy.deepcopy(recorded)
    change, told = CHANGES[case]
    change(present)
    assert told in find_breaks(recorded, present)
    assert find_breaks(recorded, recorded) == []


def test_additions_break_nobody():
    recorded = read_recording(PROTOCOL, "shapes.json")
    present = copy.deepcopy(recorded)
    present["BeginRun"]["properties"]["colour"] = {"type": "string"}
    present["Run"]["properties"]["colour"] = {"type": "string"}
    present["FinishRun"]["properties"]["state"]["enum"].append("paused")
    assert find_breaks(recorded, present) == []


def test_an_answer_that_lacks_something_is_seen():
    names = Names()
    recorded = {"body": {"id": "a" * 32, "rows": 3, "inner": [{"x": 1.0}]}}
    assert names.compare(recorded, {"body": {"id": "b" * 32, "rows": 4, "inner": [{"x": 2.0, "y": 1}], "z": 1}}) == []
    assert names.renew({"run": "a" * 32, "part": "a" * 8}) == {"run": "b" * 32, "part": "b" * 8}
    less = {"body": {"id": "b" * 32, "rows": "4", "inner": []}}
    assert names.compare(recorded, less) == ["answer.body.rows is '4', was 3", "answer.body.inner is empty"]


@pytest.mark.parametrize("number", [PROTOCOL - BEFORE - 1, 0, PROTOCOL + 1, 2**40])
def test_a_client_of_another_time_is_told_what_to_install(number):
    with pytest.raises(Invalid) as caught:
        check_protocol(number)
    assert caught.value.code == "API-013"
    assert f"version {number} of the wire" in caught.value.what
    assert (
        "on the client: pip install" if number < PROTOCOL else "where the record is: pip install"
    ) in caught.value.fix


def exchange(home, request):
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(60)
        connected.connect(str(home.socket))
        body = msgspec.msgpack.encode(request)
        connected.sendall(struct.pack("!I", len(body)) + body)
        stream = connected.makefile("rb")
        (size,) = struct.unpack("!I", stream.read(4))
        return msgspec.msgpack.decode(stream.read(size))


def test_an_owner_refuses_clients_of_another_time_but_lets_them_stop_it(home, start):
    owner = start()
    later = {"id": 7, "command": {"type": "Invented", "colour": "red"}, "protocol": PROTOCOL + 1}
    told = exchange(home, later)["problem"]
    assert (told["code"], told["context"]["client"]) == ("API-013", PROTOCOL + 1)
    status = {"type": "GetStatus"}
    assert exchange(home, {"id": 7, "command": status, "protocol": PROTOCOL})["body"]["pid"] == owner.pid
    assert exchange(home, {"id": 7, "command": status})["body"]["pid"] == owner.pid
    assert "problem" not in exchange(home, {"id": 7, "command": {"type": "Stop"}, "protocol": PROTOCOL + 1})
    owner.process.communicate(timeout=60)
    assert owner.process.returncode == 0


def test_a_command_says_nothing_of_the_first_version():
    """Clients of before the number was told are of version 1."""
    frame = msgspec.msgpack.decode(encode_request(1, messages.GetStatus())[4:])
    assert frame.get("protocol", 1) == PROTOCOL
