"""The engine slurm:// passes the contract of engines, with an owner whose runs are all jobs."""

from pathlib import Path

import pytest
from tests.support.oncepool import place_engine
from tests.support.slurm import CORES, SlurmHome

from mainspring.domain.records import Resources
from mainspring.testing.engines import EngineContract, until

pytestmark = pytest.mark.engines


@pytest.fixture(autouse=True)
def on_slurm(slurm, tmp_path, monkeypatch, request):
    """Owners of this test have the cluster where this machine would be; nothing of it stays there."""
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    # Not below what tests of the suite list.
    packages = tmp_path.with_name(f"{tmp_path.name}-packages")
    place_engine(packages, monkeypatch, Path(__file__).parents[2], "tests.support.slurm:SlurmHome")
    yield
    slurm.run("scancel", "--me")


@pytest.fixture
def engine(home, slurm):
    home.root.mkdir()
    found = SlurmHome("local://", home)
    for _ in until():
        if found.capacity():
            break
    yield found
    found.close()


class TestSlurmEngine(EngineContract):
    many = 12

    def fill(self, client):
        return Resources(cpus=CORES)
