"""Gangs: one run on several machines at once, whose members find each other, and live and end together."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

import mainspring as ms
from mainspring.cli.main import _run
from mainspring.domain.errors import Failed, Invalid, NotFound
from mainspring.domain.messages import CancelRuns, GetLogs, WaitRuns
from mainspring.domain.pools import AddPool, ListNodes
from mainspring.domain.preemptions import PreemptRuns
from mainspring.sdk.commands import start_command
from mainspring.testing.engines import get, lives, until, wait, wait_for_file

MEETING = """
import os, socket, time
rank, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
print("rank", rank, "of", size, "with devices", os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
if rank == "0":
    with socket.create_server(address) as server:
        link, _ = server.accept()
        print(link.recv(100).decode())
else:
    for _ in range(3000):
        try:
            socket.create_connection(address).sendall(b"greetings from rank " + rank.encode())
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
"""

FAMILY = """
import os, pathlib, signal, sys, time
rank = os.environ["RANK"]

def clean_up(*_):
    pathlib.Path(f"cleaned-{rank}").touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, clean_up)
pathlib.Path(f"{rank}.part").write_text(str(os.getpid()))
os.rename(f"{rank}.part", f"pid-{rank}")
while not pathlib.Path(f"go-{rank}").exists():
    time.sleep(0.02)
print("over", flush=True)
sys.exit(int(pathlib.Path(f"go-{rank}").read_text() or 0))
"""


@pytest.fixture
def folder(client, tmp_path, monkeypatch):
    """The folder of the caller, whose home has a pool of two nodes with two devices each."""
    client.ask(AddPool(name="pair", url="local://pair?cpus=4&memory=8GB&gpus=4&gpu_type=A100&nodes=2"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "family.py").write_text(FAMILY)
    return tmp_path


def start_family(folder, **options):
    """Start a command on both nodes; return its run and the processes, once all of them have begun."""
    run = start_command([sys.executable, "family.py"], nodes=2, **options)
    return run, [int(wait_for_file(folder / f"pid-{rank}")) for rank in (0, 1)]


def wait_until_gone(pids):
    for _ in until():
        if not any(map(lives, pids)):
            return


def test_members_meet_and_each_has_devices_and_text_of_its_own(folder, client, capfd):
    (folder / "meet.py").write_text(MEETING)
    words = ["run", "--gpus", "2", "--nodes", "2", "--gpu-type", "a100", "-w", "--", sys.executable, "meet.py"]
    assert _run(words) == 0
    said = capfd.readouterr().out
    assert said == "rank 0 of 2 with devices 0,1\ngreetings from rank 1\n"
    (run,) = ms.runs("kind = command")
    assert (run.state, get(client, run).place) == ("succeeded", "pair/n1,n2")
    assert run.logs(rank=1) == "rank 1 of 2 with devices 2,3\n"
    assert _run(["logs", run.id, "--rank", "1"]) == 0
    assert capfd.readouterr().out == run.logs(rank=1)
    with pytest.raises(NotFound, match=r"RUN-026: .* has no member 2: it has 2"):
        run.logs(rank=2)


@ms.step(nodes=2, pool="pair", cache=False)
def train(folder: str) -> str:
    """Log and return what tells the members apart."""
    rank = os.environ["RANK"]
    ms.log(rank=int(rank), note=f"from {rank}")
    Path(folder, rank).write_text(os.environ["WORLD_SIZE"])
    return f"result of {rank}"


def test_a_step_is_called_on_each_node_and_its_result_is_that_of_the_first(folder):
    assert train(str(folder)) == "result of 0"
    assert [(folder / rank).read_text() for rank in "01"] == ["2", "2"]
    (run,) = ms.runs("name = train")
    assert (run.metrics["rank"], run.artifacts["note"].load()) == (0, "from 0")


def test_all_must_be_done_before_it_has_succeeded(folder, client):
    run, pids = start_family(folder)
    (folder / "go-0").write_text("0")
    for _ in until():
        if "over" in client.ask(GetLogs(run.id)).text:
            break
    wait_until_gone(pids[:1])
    (running,) = client.ask(WaitRuns(ids=[run.id], wait_s=0.5))
    assert running.state == "running"  # the other goes on
    (folder / "go-1").write_text("0")
    assert wait(client, run)[0].state == "succeeded"


def test_what_fails_in_one_ends_all_with_a_grace(folder, client):
    run, pids = start_family(folder)
    (folder / "go-1").write_text("3")
    (failed,) = wait(client, run)
    assert (failed.state, failed.problem.code) == ("failed", "RUN-024")
    assert failed.problem.what.startswith("rank 1: ")
    assert failed.problem.context["status"] == 3
    wait_until_gone(pids)
    assert (folder / "cleaned-0").exists()


def test_a_cancel_reaches_all(folder, client):
    run, pids = start_family(folder)
    client.ask(CancelRuns([run.id]))
    assert wait(client, run)[0].state == "cancelled"
    wait_until_gone(pids)
    assert (folder / "cleaned-0").exists()
    assert (folder / "cleaned-1").exists()


def test_it_gives_way_as_one_and_begins_anew(folder, client):
    run, pids = start_family(folder)
    for path in folder.glob("pid-*"):
        path.unlink()
    client.ask(PreemptRuns(ids=[run.id]))
    again = [int(wait_for_file(folder / f"pid-{each}")) for each in (0, 1)]
    assert not any(map(lives, pids))  # the next attempt begins when all of the first has ended
    assert {path.name for path in folder.glob("cleaned-*")} == {"cleaned-0", "cleaned-1"}
    assert (get(client, run).attempt, not set(pids) & set(again)) == (2, True)
    client.ask(CancelRuns([run.id]))
    wait(client, run)


@pytest.mark.parametrize("rank", [0, 1])
def test_who_loses_a_member_loses_the_attempt_and_begins_anew(folder, client, rank):
    run, pids = start_family(folder)
    worker = int(Path(f"/proc/{pids[rank]}/stat").read_text().rpartition(")")[2].split()[1])
    for path in folder.glob("pid-*"):
        path.unlink()
    os.kill(worker, signal.SIGKILL)
    again = [int(wait_for_file(folder / f"pid-{each}")) for each in (0, 1)]
    wait_until_gone(pids)
    assert get(client, run).attempt == 2
    for each in (0, 1):
        (folder / f"go-{each}").write_text("0")
    (ended,) = wait(client, run)
    assert (ended.state, ended.attempt, not set(pids) & set(again)) == ("succeeded", 2, True)


def test_a_gang_outlives_its_owner(folder, client):
    run, pids = start_family(folder)
    owner = int(client.home.lock.read_text())
    os.kill(owner, signal.SIGKILL)
    while lives(owner):
        time.sleep(0.01)
    (folder / "go-0").write_text("0")  # its end is told to the next owner, by both
    wait_until_gone(pids[:1])
    assert get(client, run).state == "running"
    (folder / "go-1").write_text("0")
    (ended,) = wait(client, run)
    assert (ended.state, ended.attempt) == ("succeeded", 1)


def test_it_starts_on_all_its_nodes_or_none_and_says_what_it_waits_for(folder, client):
    first = start_command([sys.executable, "family.py"], gpus=1, pool="pair")
    wait_for_file(folder / "pid-0")
    gang = start_command(["true"], nodes=2, gpus=2)
    for _ in until():
        if "at once" in get(client, gang).reason:
            break
    assert get(client, gang).reason == "waiting for 1 of 2 gpus on 2 nodes at once"
    assert {each.place: each.held for each in client.ask(ListNodes(pool="pair"))} == {"pair/n1": 1, "pair/n2": 0}
    (folder / "go-0").write_text("0")
    assert [each.state for each in wait(client, first, gang)] == ["succeeded", "succeeded"]


REFUSED = (
    (
        {"nodes": 3, "gpus": 2},
        "it asks 3 nodes of one pool with 1 cpu, 2 gpus each; pair, the nearest, has 2 such nodes",
    ),
    ({"gpus": 1, "gpu_type": "H100"}, "it asks gpus of type H100; there are A100 (pair/n1)"),
    ({"gpus": 3, "nodes": 2}, "it asks 3 gpus; the largest node, pair/n1, has 2"),
    ({"gpus": 1.5}, "whole devices are given"),
    ({"nodes": 0}, "nodes=0"),
    ({"nodes": -2}, "nodes=-2"),
    ({"nodes": 1.5}, "nodes=1.5"),
    ({"nodes": 10**9}, "nodes=1000000000"),
    ({"gpu_type": "A100"}, "gpu_type='A100' without gpus"),
    ({"gpus": 1, "gpu_type": " ,-"}, "gpu_type=' ,-'"),
    ({"cpus": -0.5}, "cpus=-0.5"),
)


@pytest.mark.usefixtures("folder")
def test_what_nobody_has_is_refused_with_what_comes_nearest():
    for options, said in REFUSED:
        with pytest.raises(Invalid, match=re.escape(said)) as refused:
            ms.run(["true"], **options)
        assert refused.value.code == ("STEP-008" if "=" in said else "RUN-009")


@pytest.mark.usefixtures("folder")
def test_parts_of_cores_and_one_of_several_types_are_given(client):
    run = ms.run(["true"], cpus=0.5, gpus=0.5, gpu_type=["H100", "A100"], wait=True)
    assert (run.state, get(client, run).place.partition("/")[0]) == ("succeeded", "pair")


def test_a_machine_is_cut_into_equal_nodes_only(client):
    for query in ("nodes=0", "nodes=3&gpus=4", "nodes=two", "nodes=1000"):
        with pytest.raises(Invalid, match="POOL-002"):
            client.ask(AddPool(name="cut", url=f"local://cut?{query}"))


@pytest.mark.usefixtures("folder")
def test_a_gang_that_fails_raises_for_who_asks_for_its_result():
    with pytest.raises(Failed, match=r"RUN-024: .*false ended with status 1"):
        ms.run(["false"], nodes=2).result(120)
