"""The engine local:// passes the contract of engines."""

import pytest

from mainspring.compute.engine import find_engine
from mainspring.domain.errors import NotFound
from mainspring.domain.records import Resources
from mainspring.testing.engines import EngineContract


@pytest.fixture
def engine(home):
    home.root.mkdir()
    found = find_engine("local://", home)
    yield found
    found.close()


class TestLocalEngine(EngineContract):
    def fill(self, client):
        return Resources(cpus=find_engine("local://", client.home).capacity()[0].cpus)


def test_an_engine_that_is_not_installed_is_told(home):
    with pytest.raises(NotFound) as caught:
        find_engine("abacus://table", home)
    assert caught.value.code == "WORK-001"
    assert "abacus" in caught.value.what
    assert "local" in caught.value.why
