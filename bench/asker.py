"""Ask an owner to begin runs for some seconds; print how many it acknowledged. Run by `bench.records`."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from pathlib import Path

from mainspring.domain.messages import BeginRun
from mainspring.domain.wire import HEADER, decode_reply, encode_request
from mainspring.store.homes import place_home


def main(seconds: float, window: int) -> None:
    """Keep a window of requests under way."""
    home = place_home(Path(os.environ["MAINSPRING_HOME"]))
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(str(home.socket))
    answers = wire.makefile("rb")
    end = time.perf_counter() + seconds
    for number in range(window):
        wire.sendall(_request(number))
    acknowledged, under_way = 0, window
    while under_way:
        (size,) = HEADER.unpack(answers.read(HEADER.size))
        number, _ = decode_reply(answers.read(size), BeginRun)
        under_way -= 1
        if time.perf_counter() < end:
            acknowledged += 1
            wire.sendall(_request(number))
            under_way += 1
    print(acknowledged)


def _request(number: int) -> bytes:
    return encode_request(number, BeginRun(kind="step", name="bench", params={"rate": 0.1}), secrets.token_hex(16))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
