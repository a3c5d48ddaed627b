"""The fork server between an owner that is slow and workers that are quick."""

import socket
import subprocess
import sys

from mainspring.domain import wire
from mainspring.domain.messages import Beats
from mainspring.worker.beats import Heart

QUICK_WORKER = """
import os, socket, sys
from pathlib import Path
from mainspring.compute import forks
from mainspring.compute.engine import Spec
from mainspring.domain.home import Home
from mainspring.worker import children, forkserver

folder = Path(sys.argv[1])
listener, lock = forkserver.listen(folder / "f.sock")
server = forkserver.ForkServer(Home(folder, folder, folder), listener, lock)
server._woken.setblocking(False)
server._engine, engine = socket.socketpair()


def work(link):
    frames, taken = forks.Frames(), 0
    while taken < 2:
        taken += len(forks.receive(link, frames))
    for stage in ("running", "finishing", "idle"):
        link.sendall(forks.encode(forks.Mark(stage)))
    os._exit(3)


first, second = (Spec(name * 32, 1, 1, "token") for name in "ab")
child = children.fork(first, lambda: None, work)
server._children[child.pid] = child
child.take(forks.Launch(first), 0.0)
child.stage = "finishing"
child.take(forks.Launch(second), 0.0)
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
server._reap()
engine.setblocking(False)
for message in forks.receive(engine, forks.Frames()):
    status = message.status
    print(status.run_id[0], status.state, status.exit_code)
"""


def test_what_a_worker_said_before_it_ended_is_heard(tmp_path):
    """Its first attempt had ended in order, its second ended the process: neither is mistaken for the other."""
    done = subprocess.run(
        [sys.executable, "-c", QUICK_WORKER, str(tmp_path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout.splitlines() == ["a running None", "a ended None", "b ended 3"]


def test_an_order_is_about_the_attempt_that_was_asked_for(tmp_path):
    """A word about the first attempt that comes late does not end the second."""
    path = tmp_path / "owner.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        heart = Heart(path)
        heart.beat([("a", 2, 5), ("a", 1, 4), ("b", 1, 1)], 0.0)
        link, _ = listener.accept()
        with link:
            (length,) = wire.HEADER.unpack(link.recv(wire.HEADER.size))
            asked = wire.decode_request(link.recv(length))
            assert asked.command.leases == [("a", 2, 5), ("b", 1, 1)]
            link.sendall(wire.encode_reply(asked.number, Beats({"a": "lost", "b": "keep"})))
            assert heart.read() == {("a", 2): "lost", ("b", 1): "keep"}
        heart.close()
