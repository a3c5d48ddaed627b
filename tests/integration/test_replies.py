"""Replies of HTTP leave whole: head and body are one piece, and none is cut off."""

import socket

import pytest
from tests.support.servers import UpProcess


@pytest.fixture
def served(client):
    made = UpProcess()
    yield made
    made.end()


def ask(connection, path, token, *headers):
    head = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", *headers]
    connection.sendall("\r\n".join([*head, "", ""]).encode())


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/2.0/mlflow/experiments/get?experiment_id=0"])
def test_head_and_body_come_in_one_piece(client, served, path):
    token = client.home.token.read_text()
    with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
        for _ in range(30):
            ask(connection, path, token)
            head, _, body = connection.recv(1 << 20).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert len(body) == int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])


def test_a_connection_that_ends_with_its_reply_gets_all_of_it(client, served):
    with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
        ask(connection, "/api/v1/openapi.json", client.home.token.read_text(), "Connection: close")
        content = b""
        while part := connection.recv(1 << 16):
            content += part
    head, _, body = content.partition(b"\r\n\r\n")
    assert len(body) == int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]) > 100_000
