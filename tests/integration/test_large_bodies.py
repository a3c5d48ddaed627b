"""Bodies of a gigabyte and brackets by the million, at a real server: one clear error, and little memory."""

import json
import re
import socket
from pathlib import Path

import msgspec
import pytest
from tests.support.servers import UpProcess

from mainspring.domain import messages
from mainspring.domain.wire import HEADER, MAX_FRAME_BYTES, decode_reply
from mainspring.security.tokens import home_token

GIGABYTE = 10**9
MEBIBYTE = 2**20
DEEP = 1_000_000
MOST_GROWTH_BYTES = 160 * MEBIBYTE
"""Twice what the largest body that is read takes, and room for the allocator."""

KINDS = {"/projects": "application/json", "/commands/GetRun": "application/msgpack"}


@pytest.fixture
def server(client):
    up = UpProcess()
    client.ask(messages.GetStatus())
    yield up
    up.end()


def peak_bytes(pid):
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def post(server, token, path, parts, *, told=None):
    """Send parts until the server has heard enough; return its status, its problem and how much was sent."""
    head = [
        f"POST /api/v1{path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"Authorization: Bearer {token}",
        f"Content-Type: {KINDS[path]}",
        "Mainspring-Protocol: 1",
        "Transfer-Encoding: chunked" if told is None else f"Content-Length: {told}",
    ]
    sent, answer = 0, b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connected:
        connected.sendall("\r\n".join([*head, "", ""]).encode())
        try:
            for part in parts:
                connected.sendall(b"%x\r\n%b\r\n" % (len(part), part) if told is None else part)
                sent += len(part)
            if told is None:
                connected.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered, and closed
        try:
            while part := connected.recv(65536):
                answer += part
                content = answer.partition(b"\r\n\r\n")[2]
                if content.endswith(b"}"):
                    break
        except ConnectionResetError:
            pass  # what it still was sent came after its end
    return (int(answer.split(b" ", 2)[1]) if answer else 0), answer.partition(b"\r\n\r\n")[2], sent


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("told", [GIGABYTE, None], ids=["told", "chunked"])
def test_a_gigabyte_is_refused_early(server, client, path, told):
    token = home_token(client.home)
    pids = (server.process.pid, client.ask(messages.GetStatus()).pid)
    before = [peak_bytes(pid) for pid in pids]
    part = b" " * MEBIBYTE
    status, content, sent = post(server, token, path, (part for _ in range(GIGABYTE // MEBIBYTE)), told=told)
    grown = [peak_bytes(pid) - was for pid, was in zip(pids, before, strict=True)]
    print(f"{path}: {sent:,} bytes sent, peaks grown by {grown[0]:,} and {grown[1]:,}")
    assert sent < GIGABYTE / 4
    assert max(grown) < MOST_GROWTH_BYTES
    if status:  # else the end of the connection outran the answer
        assert (status, json.loads(content)["code"]) == (413, "API-009")
    assert client.ask(messages.GetStatus()).pid == pids[1]


def test_a_gigabyte_of_the_socket_is_refused_by_its_first_bytes(client):
    pid = client.ask(messages.GetStatus()).pid
    before = peak_bytes(pid)
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(60)
        connected.connect(str(client.home.socket))
        connected.sendall(HEADER.pack(GIGABYTE) + b" " * 1000)
        stream = connected.makefile("rb")
        (size,) = HEADER.unpack(stream.read(HEADER.size))
        with pytest.raises(Exception, match=f"HOME-005: a message of {GIGABYTE:,} bytes"):
            decode_reply(stream.read(size), messages.GetStatus)
    assert peak_bytes(pid) - before < MOST_GROWTH_BYTES
    assert MAX_FRAME_BYTES < GIGABYTE


def test_brackets_by_the_million_are_refused(server, client):
    token = home_token(client.home)
    pid = client.ask(messages.GetStatus()).pid
    deep = {
        "/projects": b'{"name": ' + b"[" * DEEP,
        "/commands/GetRun": b"\x82\xa4type\xa6GetRun\xa2id" + b"\x91" * DEEP,
    }
    for path, content in deep.items():
        status, told, _ = post(server, token, path, [content], told=len(content))
        assert status == 400
        assert json.loads(told)["code"] in {"API-008", "HOME-004"}
    envelope = b"\x82\xa2id\x01\xa7command" + b"\x91" * DEEP
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(60)
        connected.connect(str(client.home.socket))
        connected.sendall(HEADER.pack(len(envelope)) + envelope)
        stream = connected.makefile("rb")
        (size,) = HEADER.unpack(stream.read(HEADER.size))
        problem = msgspec.msgpack.decode(stream.read(size))["problem"]
    assert problem["code"] == "HOME-004"
    assert client.ask(messages.GetStatus()).pid == pid
