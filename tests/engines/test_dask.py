"""The engine dask:// against a real scheduler and several real workers of Dask."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import pytest
from tests.support.dask import CORES, VARIABLE, DaskCluster
from tests.support.oncepool import place_engine

from mainspring.compute.adapters.dask import DaskEngine, read_address
from mainspring.compute.engine import Handle, Rejection, Spec
from mainspring.domain.errors import Invalid, NotFound, Unavailable
from mainspring.domain.home import Home
from mainspring.domain.messages import GetLogs
from mainspring.domain.pools import AddPool, GetPool, ListNodes
from mainspring.domain.records import Resources
from mainspring.sdk.commands import start_command
from mainspring.store.homes import make_folders
from mainspring.testing import programs
from mainspring.testing.engines import EngineContract, get, lives, submit, until, wait, wait_for_file
from mainspring.tracking.codecs import load_value

pytestmark = pytest.mark.engines
ROOT = Path(__file__).parent.parent.parent
HERE = Home(Path("/h"), Path("/h"), Path("/h"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = DaskCluster(tmp_path_factory.mktemp("dask") / "cluster")
    yield made
    made.end()


@pytest.fixture
def pool(cluster, home, tmp_path, monkeypatch):
    """The home's runs are executed there, with the home's folder shared."""
    monkeypatch.setenv(VARIABLE, cluster.url(home=home.root))
    place_engine(tmp_path.with_name(f"{tmp_path.name}-packages"), monkeypatch, ROOT, "tests.support.dask:open_engine")
    return home


@pytest.fixture
def client(pool, request):
    del pool
    made = request.getfixturevalue("client")
    for _ in until():  # the owner has heard which workers there are
        if len(made.ask(ListNodes())) == 2:
            break
    return made


def open_pool(url, home):
    make_folders(home)
    return DaskEngine(url, home)


def await_nodes(engine, count=2):
    for _ in until():
        with contextlib.suppress(Unavailable):
            if len(engine.capacity()) >= count:
                return engine.capacity()
    return []


def await_problem(engine):
    for _ in until():
        try:
            engine.capacity()
        except Unavailable as fault:
            return fault
    return None


@pytest.fixture
def engine(cluster, home):
    found = open_pool(cluster.url(home=home.root), home)
    await_nodes(found)
    yield found
    found.close()


class TestDaskEngine(EngineContract):
    many = 20

    def fill(self, client):
        return Resources(cpus=CORES)


def tell_devices(stop):
    """Print the devices that the attempt was given, and go on until a file is there."""
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    while not Path(stop).exists():
        time.sleep(0.05)
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_workers_are_machines_with_their_own_names(engine):
    nodes = {node.name: node for node in engine.capacity()}
    assert {name: (node.cpus, node.gpus) for name, node in nodes.items()} == {"small": (2, 0), "large": (CORES, 2)}
    assert all(node.memory_bytes == 8 << 30 for node in nodes.values())


def test_devices_are_lent_without_overlap(client, tmp_path):
    stop = tmp_path / "stop"
    runs = [submit(client, tell_devices, str(stop), resources=Resources(gpus=1)) for _ in range(3)]
    for _ in until():
        at_once = [run for run in runs if get(client, run).state == "running"]
        if len(at_once) == 2:
            break
    stop.touch()
    ended = wait(client, *runs)
    assert {run.state for run in ended} == {"succeeded"}
    assert {run.place for run in ended} == {"local/large"}
    values = {run.id: load_value(run.outputs, client.blobs, client.seal) for run in ended}
    assert {values[run.id] for run in at_once} == {"0", "1"}


def test_what_no_worker_can_hold_is_refused(engine):
    asked = {Resources(gpus=3): "3 gpus", Resources(cpus=CORES + 1): f"{CORES + 1} cpus"}
    for resources, what in asked.items():
        (answer,) = engine.submit([Spec("0" * 32, 1, 1, "no token", resources)])
        assert isinstance(answer, Rejection)
        assert what in answer.reason


def test_a_lost_worker_s_runs_go_to_another(client, cluster, tmp_path):
    """Dask's own process is killed: its attempt ends, and the next one runs elsewhere."""
    cluster.begin_worker("brief", 8)
    for _ in until():
        if len(client.ask(ListNodes())) == 3:
            break
    stop, ready = tmp_path / "stop", tmp_path / "ready"
    run = submit(client, programs.wait_for, str(stop), str(ready), resources=Resources(cpus=8))
    assert get(client, run).place in {"", "local/brief"}
    pid = int(wait_for_file(ready))
    ready.unlink()
    cluster.end("brief")
    cluster.begin_worker("brief", 8)
    for _ in until():
        if get(client, run).attempt == 2 and ready.exists():
            break
    for _ in until():  # what the lost worker has left hears that its lease is gone
        if not lives(pid):
            break
    stop.touch()
    (ended,) = wait(client, run)
    assert (ended.state, ended.attempt) == ("succeeded", 2)
    cluster.end("brief")


def test_a_scheduler_that_is_down_is_told(home, tmp_path):
    cluster = DaskCluster(tmp_path / "other")
    try:
        engine = open_pool(cluster.url(home=home.root), home)
        try:
            await_nodes(engine)
            cluster.end()
            fault = await_problem(engine)
            assert fault.code == "WORK-016"
            assert "\n" not in fault.what
        finally:
            engine.close()
    finally:
        cluster.end()


def test_a_cluster_is_started_here_and_ends_with_nobody_there(client, home):
    """`dask://` alone: worker processes of this machine, over TLS, with keys that nobody else reads."""
    client.ask(AddPool(name="here", url="dask://?workers=2&threads=1"))
    for _ in until():
        if client.ask(GetPool(name="here")).nodes == 2:
            break
    asked = Resources(pool="here")
    ended = wait(client, *(submit(client, programs.add_one, at, resources=asked) for at in range(4)))
    assert {(run.state, run.place.partition("/")[0]) for run in ended} == {("succeeded", "here")}
    (folder,) = (home.root / "dask").iterdir()
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.pem")} == {0o600}
    assert json.loads((folder / "cluster.json").read_text())["address"].startswith("tls://127.0.0.1:")


def test_code_that_does_not_travel_is_refused_where_the_home_is_not_shared(cluster, home):
    engine = open_pool(cluster.url(server="https://127.0.0.1:1", certificate="0" * 64), home)
    try:
        await_nodes(engine)
        (answer,) = engine.submit([Spec("0" * 32, 1, 1, "no token", folder="/here")])
        assert "its code does not travel" in answer.reason
    finally:
        engine.close()


def test_an_attempt_is_found_by_the_next_owner_s_engine(cluster, home, engine, tmp_path):
    """Its process goes on while nobody asks; the second engine knows it, and ends it with its grace."""
    spec = Spec("a" * 32, 1, 1, "no token")
    handle = Handle(spec.run_id, 1)
    engine.submit([spec])
    for _ in until():
        if engine.poll([handle])[0].pid:
            break
    engine.close()
    second = open_pool(cluster.url(home=home.root), home)
    try:
        for _ in until():
            if second.adopt(0.0) == [handle]:
                break
        second.cancel([handle], 0.2, signal.SIGTERM)
        for _ in until():
            (status,) = second.poll([handle])
            if status.state == "ended":
                break
        second.release([handle])
    finally:
        second.close()


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("dask://head?home=/h", "HOST:PORT"),
        ("dask://head:8786", "one of home= and server="),
        ("dask://anna@head:8786?home=/h", "has a user"),
        ("dask://head:8786?home=/h&key=/k", "all of them"),
        ("dask://head:8786?home=/h&workers=2", "not its own"),
        ("dask://?workers=0", "whole numbers"),
        ("dask://?threads=-1", "whole numbers"),
        ("dask://?home=/h", "not its own"),
        ("dask://head:x", "no readable port"),
    ],
)
def test_urls_that_are_none_of_dask_are_refused(url, what):
    with pytest.raises(Invalid) as caught:
        read_address(url, HERE)
    assert caught.value.code == "WORK-014"
    assert what in caught.value.what


def test_a_missing_package_prints_how_to_install_it(home, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotFound) as caught:
        DaskEngine("dask://", home)
    assert caught.value.code == "WORK-015"
    assert caught.value.fix == "pip install 'mainspring[dask]'"


def test_members_of_a_gang_are_on_workers_of_their_own_and_meet(client):
    program = """
import os, socket, time
address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if os.environ["RANK"] == "0":
    with socket.create_server(address) as server:
        print(server.accept()[0].recv(100).decode(), flush=True)
for _ in range(3000 if os.environ["RANK"] == "1" else 0):
    try:
        socket.create_connection(address).sendall(b"from the other worker")
        break
    except ConnectionRefusedError:
        time.sleep(0.02)
"""
    (run,) = wait(client, start_command(["python", "-c", program], nodes=2))
    assert run.state == "succeeded", run.problem
    assert client.ask(GetLogs(run.id)).text == "from the other worker\n"
    nodes = run.place.partition("/")[2].split(",")
    assert len(set(nodes)) == 2
    with pytest.raises(Invalid, match=r"RUN-009: .* asks 3 nodes of one pool"):
        start_command(["true"], nodes=3)
