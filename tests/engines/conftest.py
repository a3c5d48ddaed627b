"""A Slurm cluster for all tests that want one."""

import os

import pytest
from tests.support.slurm import SlurmCluster, is_installed


@pytest.fixture(scope="session")
def slurm():
    """One node with eight devices."""
    if not is_installed():
        assert os.environ.get("ENGINES") != "all", "Slurm is not installed"
        pytest.skip("Slurm is not installed: apt install slurmctld slurmd slurm-client munge")
    cluster = SlurmCluster()
    yield cluster
    cluster.close()
