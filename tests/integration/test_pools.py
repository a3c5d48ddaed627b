"""Runs in a second pool: placed there, read, cancelled, adopted, and what becomes of them when it goes."""

import os
import signal
import time

import pytest
from tests.support.engines import install_abacus

from mainspring.cli.main import _run
from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import CancelRuns, GetLogs, SearchRuns
from mainspring.domain.pools import AddPool, DrainNode, GetPool, ListNodes, RemovePool, ResumeNode
from mainspring.domain.records import Resources
from mainspring.testing import programs
from mainspring.testing.engines import get, lives, problem_of, submit, until, wait, wait_for_file

LAB = Resources(pool="lab")


def say(text):
    print(text, flush=True)


def hold(path, text):
    """Print, tell that it runs, and go on until a file is there."""
    print(text, flush=True)
    path.with_suffix(".pid").write_text(str(os.getpid()))
    while not path.exists():
        time.sleep(0.02)
    return os.getpid()


def log_of(client, run):
    return client.ask(GetLogs(run_id=run.id)).text


@pytest.fixture
def lab(client):
    """A second pool of the home."""
    return client.ask(AddPool(name="lab", url="local://lab?cpus=1", zone="hall-2"))


def test_a_step_runs_in_the_pool_that_it_asks_for(client, lab, capsys):
    there, here = submit(client, say, "there", resources=LAB), submit(client, say, "here")
    there, here = wait(client, there, here)
    assert (there.state, there.place, here.state, here.place) == ("succeeded", "lab", "succeeded", "local")
    assert (log_of(client, there), log_of(client, here)) == ("there\n", "here\n")
    assert [run.id for run in client.ask(SearchRuns("place = lab")).runs] == [there.id]
    assert _run(["runs", "show", there.id]) == 0
    assert "place    lab" in capsys.readouterr().out


def test_what_asks_for_no_pool_goes_there_when_this_machine_is_full(client, lab, tmp_path):
    cores = next(each.cpus for each in client.ask(ListNodes()) if each.pool == "local")
    full = submit(client, hold, tmp_path / "go", "full", resources=Resources(cpus=cores))
    wait_for_file(tmp_path / "go.pid")
    away = submit(client, say, "away")
    collect = submit(client, say, "at home", kind="collect")
    (away,) = wait(client, away)
    assert away.place == "lab"
    assert get(client, collect).state == "queued"  # what works with the home's own files waits for it
    (tmp_path / "go").touch()
    assert [each.place for each in wait(client, full, collect)] == ["local", "local"]


def test_a_run_in_a_pool_is_cancelled_with_all_that_it_has_started(client, lab, tmp_path):
    ready, cleaned = str(tmp_path / "ready"), str(tmp_path / "cleaned")
    run = submit(client, programs.clean_up_when_told, ready, cleaned, resources=LAB)
    pids = [int(each) for each in wait_for_file(tmp_path / "ready").split()]
    client.ask(CancelRuns([run.id]))
    (run,) = wait(client, run)
    assert (run.state, run.place) == ("cancelled", "lab")
    for _ in until():
        if not any(map(lives, pids)):
            break
    assert (tmp_path / "cleaned").exists()


def test_a_new_owner_finds_what_runs_in_each_pool(client, lab, start, tmp_path):
    del lab
    runs = [
        submit(client, hold, tmp_path / "one", "before", resources=LAB),
        submit(client, hold, tmp_path / "two", "before"),
    ]
    pids = [int(wait_for_file(tmp_path / f"{name}.pid")) for name in ("one", "two")]
    owner = int(client.home.lock.read_text())
    os.kill(owner, signal.SIGKILL)
    for _ in until():
        if not lives(owner):
            break
    assert [get(client, run).state for run in runs] == ["running", "running"]
    for name in ("one", "two"):
        (tmp_path / name).touch()
    ended = wait(client, *runs)
    assert [(run.state, run.attempt, run.place) for run in ended] == [
        ("succeeded", 1, "lab"),
        ("succeeded", 1, "local"),
    ]
    assert [run.pid for run in ended] == pids
    assert [log_of(client, run) for run in runs] == ["before\n", "before\n"]


def test_a_drained_machine_takes_nothing_until_it_is_resumed(client, lab, tmp_path):
    busy = submit(client, hold, tmp_path / "go", "on", resources=LAB)
    wait_for_file(tmp_path / "go.pid")
    client.ask(DrainNode(place="lab"))
    late = submit(client, say, "late", resources=LAB)
    for _ in until():
        if "none of its machines takes runs now" in get(client, late).reason:
            break
    (tmp_path / "go").touch()
    assert wait(client, busy)[0].state == "succeeded"  # what ran there went on
    assert get(client, late).state == "queued"
    client.ask(ResumeNode(place="lab"))
    assert wait(client, late)[0].place == "lab"


def test_a_pool_in_use_is_removed_by_force_and_its_runs_go_elsewhere_or_fail(client, lab, tmp_path):
    bound = submit(client, hold, tmp_path / "bound", "bound", resources=LAB)
    pid = int(wait_for_file(tmp_path / "bound.pid"))
    with pytest.raises(MainspringError, match="POOL-004") as caught:
        client.ask(RemovePool(name="lab"))
    assert "1 there" in caught.value.what
    client.ask(RemovePool(name="lab", force=True))
    (bound,) = wait(client, bound)
    assert problem_of(bound) == ("POOL-005", "hold: the pool lab was removed")
    for _ in until():
        if not lives(pid):
            break
    assert client.ask(ListNodes())[0].held == 0


def test_what_had_not_asked_for_a_removed_pool_runs_again_at_home(client, lab, tmp_path):
    cores = next(each.cpus for each in client.ask(ListNodes()) if each.pool == "local")
    full = submit(client, hold, tmp_path / "full", "full", resources=Resources(cpus=cores))
    wait_for_file(tmp_path / "full.pid")
    guest = submit(client, hold, tmp_path / "guest", "guest")
    wait_for_file(tmp_path / "guest.pid")
    client.ask(RemovePool(name="lab", force=True))
    guest = get(client, guest)
    assert (guest.state, guest.attempt, guest.place, guest.attempts[0].place) == ("queued", 2, "", "lab")
    assert "the pool lab was removed" in guest.attempts[0].reason
    for name in ("full", "guest"):
        (tmp_path / name).touch()
    assert [(run.state, run.place) for run in wait(client, full, guest)] == [("succeeded", "local")] * 2


def see_devices(path):
    path.with_suffix(".pid").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    while not path.exists():
        time.sleep(0.02)
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_runs_are_given_devices_of_their_own_also_by_a_new_owner(client, tmp_path):
    client.ask(AddPool(name="rack", url="local://rack?cpus=4&gpus=3"))

    def begin(name, gpus):
        run = submit(client, see_devices, tmp_path / name, resources=Resources(cpus=0.5, gpus=gpus, pool="rack"))
        return run, wait_for_file(tmp_path / f"{name}.pid")

    (whole, one), (half, two), (other, three) = begin("whole", 1), begin("half", 0.5), begin("other", 0.5)
    assert (one, two, three) == ("0", "1", "1")
    owner = int(client.home.lock.read_text())
    os.kill(owner, signal.SIGKILL)
    for _ in until():
        if not lives(owner):
            break
    last, four = begin("last", 1)
    assert four == "2"
    too_many = submit(client, see_devices, tmp_path / "none", resources=Resources(gpus=1, pool="rack"))
    for _ in until():
        if "waiting for 1 of 1 gpu on rack" in get(client, too_many).reason:
            break
    for name in ("whole", "half", "other", "last", "none"):
        (tmp_path / name).touch()
    assert {run.state for run in wait(client, whole, half, other, last, too_many)} == {"succeeded"}


@pytest.fixture
def abacus(tmp_path, monkeypatch, home):
    """An engine of another package, in the pool ``rack``."""
    install_abacus(tmp_path / "packages", monkeypatch)
    return home


def test_an_engine_of_another_package_is_a_pool(abacus, client):
    del abacus
    client.ask(AddPool(name="rack", url="abacus://rack?cpus=1"))
    (run,) = wait(client, submit(client, say, "clack", resources=Resources(pool="rack")))
    assert (run.state, run.place) == ("succeeded", "rack")
    with pytest.raises(MainspringError, match="POOL-007") as caught:
        client.ask(AddPool(name="string", url="beads://string"))
    assert caught.value.fix == "pip install beads"


def test_a_pool_that_answers_no_more_is_told_and_what_asks_for_it_waits(abacus, client):
    client.ask(AddPool(name="rack", url="abacus://rack?cpus=1"))
    (abacus.root / "abacus-unplugged").touch()
    assert client.ask(GetPool(name="rack")).problem == "abacus://rack?cpus=1 does not answer"
    with pytest.raises(MainspringError, match="POOL-006") as caught:
        client.ask(DrainNode(place="rack/one"))
    assert "does not answer" in caught.value.why
    waiting = submit(client, say, "late", resources=Resources(pool="rack"))
    assert wait(client, submit(client, say, "here"))[0].place == "local"
    assert get(client, waiting).state == "queued"
    (abacus.root / "abacus-unplugged").unlink()
    assert wait(client, waiting)[0].state == "succeeded"


def test_an_engine_that_raises_keeps_no_other_from_its_work(abacus, client):
    client.ask(AddPool(name="rack", url="abacus://rack?cpus=1"))
    (abacus.root / "abacus-broken").touch()
    assert wait(client, submit(client, say, "here"))[0].state == "succeeded"
    assert "RuntimeError: a bead has fallen off" in (abacus.logs / "owner.log").read_text()
    (abacus.root / "abacus-broken").unlink()
    assert wait(client, submit(client, say, "there", resources=Resources(pool="rack")))[0].place == "rack"


def test_a_pool_whose_package_is_gone_leaves_the_home_as_it_is(abacus, client, start, monkeypatch):
    client.ask(AddPool(name="rack", url="abacus://rack?cpus=1"))
    (was,) = wait(client, submit(client, say, "there", resources=Resources(pool="rack")))
    os.kill(int(abacus.lock.read_text()), signal.SIGKILL)
    for path in (abacus.root.parent / "packages").rglob("entry_points.txt"):
        path.write_text("")
    assert "no engine is called 'abacus'" in client.ask(GetPool(name="rack")).problem
    assert wait(client, submit(client, say, "here"))[0].place == "local"
    with pytest.raises(MainspringError, match="POOL-007: the pool rack has what say printed"):
        log_of(client, was)
    client.ask(RemovePool(name="rack"))
    assert log_of(client, was) == ""  # what it printed went with its pool
