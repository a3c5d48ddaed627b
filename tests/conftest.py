"""Homes, clocks and owners that tests of several rooms use; each ends what it started."""

import shutil

import pytest
from tests.support.homes import Desk, OwnerProcess, end_owner

from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home


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
