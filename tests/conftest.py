"""Homes, clocks and owners that tests of several rooms use; each ends what it started."""

import itertools
import shutil

import pytest
from tests.support.homes import Desk, OwnerProcess, end_owner

from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server for all tests that want one."""
    from tests.support.postgresql import PostgresqlServer

    server = PostgresqlServer()
    yield server
    server.close()


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
def home(tmp_path, monkeypatch):
    """A home of its own, named by the environment; nothing is made yet."""
    monkeypatch.setenv("MAINSPRING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAINSPRING_IDLE_S", "60")
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
