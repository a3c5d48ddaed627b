"""Homes, clocks and owners that tests of several rooms use; each ends what it started."""

import itertools
import os
import secrets
import shutil
from pathlib import Path

import pytest
from hypothesis import settings
from tests.support.homes import Desk, OwnerProcess, end_owner
from tests.support.receivers import HttpReceiver
from tests.support.stores import BUCKET, GoogleStorage, SeaweedFS
from tests.support.wheels import give_metadata, make_wheel

from mainspring.sdk.client import Client
from mainspring.sdk.exposures import forget_exposure
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home

ROOT = Path(__file__).parent.parent
_numbers = itertools.count(1)

settings.register_profile("house", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("house")


def pytest_terminal_summary(terminalreporter, config):
    """Tell how to run the tests in this order again, which `-q` keeps back."""
    seed = config.getoption("randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"the order of the tests: --randomly-seed={seed}")


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server for all tests that want one."""
    from tests.support.postgresql import PostgresqlServer

    server = PostgresqlServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def mlflow_python():
    """The interpreter of an environment with MLflow, whose own programs are run as they are."""
    path = Path(os.environ.get("MAINSPRING_TEST_MLFLOW") or ROOT / ".venv/mlflow/bin/python")
    if not path.exists():
        assert os.environ.get("ENGINES") != "all", f"there is no MLflow at {path}"
        pytest.skip(f"there is no MLflow at {path}: make .venv/mlflow/.ready")
    return path


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path_factory, monkeypatch):
    """A test that names no home must not write to that of the user who runs it."""
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    yield
    assert not list(state.iterdir()), "the test has used the home of its user"


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch):
    """What one test has seen of what is secret or sensitive is not withheld from the next, which shares its process."""
    monkeypatch.setattr("mainspring.security.masks._forms", set())
    yield
    forget_exposure()


@pytest.fixture
def open_home(monkeypatch):
    """The home lets in code of others."""
    monkeypatch.setenv("MAINSPRING_REMOTE_CODE", "1")


@pytest.fixture
def database(postgresql):
    """The address of an empty database."""
    return postgresql.make_database(f"record{next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def record(request, monkeypatch):
    """Name the record of the test's home: a file in it, or a database of its own."""
    if request.param == "postgresql" and "home" in request.fixturenames:
        monkeypatch.setenv("MAINSPRING_RECORD", request.getfixturevalue("database"))
    return request.param


@pytest.fixture
def blob_place():
    """Where the home's blobs and tables lie; empty: in its folder. Tests of object stores replace it."""
    return ""


@pytest.fixture
def home(tmp_path, monkeypatch, blob_place):
    """A home of its own, named by the environment; nothing is made yet."""
    monkeypatch.setenv("MAINSPRING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAINSPRING_BLOBS", blob_place)
    monkeypatch.setenv("MAINSPRING_IDLE_S", "60")
    monkeypatch.delenv("MAINSPRING_PROJECT", raising=False)
    placed = place_home(tmp_path / "home")
    yield placed
    if placed.runtime != placed.root:
        shutil.rmtree(placed.runtime, ignore_errors=True)


@pytest.fixture
def desk(home):
    """The use cases over a new record, with a clock that stands still."""
    made = Desk(home)
    yield made
    made.close()


@pytest.fixture
def receive():
    """Start receivers of this machine: ``receive(kind, **options)``; all are ended after the test."""
    begun = []

    def begin(kind=HttpReceiver, **options):
        begun.append(kind(**options))
        return begun[-1]

    yield begin
    for each in begun:
        each.end()


@pytest.fixture
def client(home):
    """A client whose owner starts by itself, and is ended after the test."""
    made = Client(home, start_owner)
    yield made
    made.close()
    end_owner(home)


@pytest.fixture
def start(home):
    """Start real owners of the home: ``start(MAINSPRING_CRASH=...)``; all are ended after the test."""
    started = []

    def start_one(**environment):
        started.append(OwnerProcess(home, **environment))
        return started[-1]

    yield start_one
    for each in started:
        each.end()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory):
    """An S3-compatible store for all tests that want one; each takes a prefix of its own."""
    server = SeaweedFS(tmp_path_factory.mktemp("seaweedfs") / "server")
    yield server
    server.end()


@pytest.fixture(scope="session")
def google_storage(tmp_path_factory):
    """A server of Google storage, likewise."""
    server = GoogleStorage(tmp_path_factory.mktemp("google") / "server")
    yield server
    server.end()


@pytest.fixture
def bucket(seaweedfs, monkeypatch):
    """The address of a new place in the S3-compatible store, and its keys in the environment."""
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{secrets.token_hex(8)}"


@pytest.fixture
def wheels(tmp_path, monkeypatch, home):
    """A folder of wheels that uv takes in the place of an index; owners and workers inherit it."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "tinywords", "1.0", "def say():\n    return 'one'\n")
    make_wheel(folder, "tinywords", "2.0", "def say():\n    return 'two'\n", ["tinyvoice"])
    make_wheel(folder, "tinyvoice", "0.1", "loud = True\n")
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    metadata = give_metadata(tmp_path / "metadata")
    if metadata is not None:
        path = os.environ.get("PYTHONPATH", "")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [path, str(metadata)])))
    return folder
