"""The engine k8s:// passes the contract of engines over a fake API server, whose pods are processes of this machine."""

import contextlib
import sys
from pathlib import Path

import pytest
from tests.support.kubernetes import VARIABLE, FakeKubernetes, make_url, write_kubeconfig
from tests.support.oncepool import place_engine

from mainspring.compute.engine import find_engine
from mainspring.domain.errors import Unavailable
from mainspring.domain.pools import ListNodes
from mainspring.domain.records import Resources
from mainspring.store.homes import make_folders
from mainspring.testing.engines import EngineContract, until

pytestmark = pytest.mark.engines


@pytest.fixture
def pool(home, tmp_path, monkeypatch):
    """The home's runs are jobs there, with the home's folder shared."""
    beside = tmp_path.with_name(f"{tmp_path.name}-beside")
    cluster = FakeKubernetes(beside / "cluster")
    url = make_url(write_kubeconfig(beside / "config", cluster), sys.executable, home.root)
    monkeypatch.setenv(VARIABLE, url)
    place_engine(beside / "packages", monkeypatch, Path(__file__).parents[2], "tests.support.kubernetes:open_engine")
    yield url
    cluster.end()


@pytest.fixture
def client(pool, request):
    del pool
    made = request.getfixturevalue("client")
    for _ in until():  # the owner has heard which nodes there are
        if made.ask(ListNodes()):
            break
    return made


@pytest.fixture
def engine(pool, home):
    make_folders(home)
    found = find_engine(pool, home)
    for _ in until():
        with contextlib.suppress(Unavailable):
            if found.capacity():
                break
    yield found
    found.close()


class TestKubernetesEngine(EngineContract):
    many = 12

    def fill(self, client):
        return Resources(cpus=8)
