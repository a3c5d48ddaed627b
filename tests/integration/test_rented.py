"""Sensitive data and money with a real owner and real workers: what is refused, and what a spent budget ends."""

import time

import polars as pl
import pytest

import mainspring as ms
from mainspring.cli.main import _run
from mainspring.domain.errors import Denied
from mainspring.domain.pools import AddPool, GetPool
from mainspring.domain.quotas import Money, SetQuota
from mainspring.domain.records import Resources
from mainspring.sdk.exposures import forget_exposure
from mainspring.testing.engines import get, submit, until, wait, wait_for_file


class Person(ms.Contract):
    """Rows with what only some may read."""

    id: int = ms.Field(key=True)
    name: str = ms.Field(sensitive=True)


class Box:
    """Something that holds a handle where nobody looks."""

    def __init__(self, inside):
        self.inside = inside


@ms.step(pool="cloud", cache=False)
def count(people):
    return people.inside.rows if isinstance(people, Box) else people.rows


@ms.step(pool="cloud", sensitive=True, cache=False)
def keep():
    return 1


@pytest.fixture
def people(client):
    return ms.write(pl.DataFrame({"id": [1, 2], "name": ["a", "b"]}), "people", contract=Person)


def test_what_is_given_sensitive_data_starts_only_where_that_may_be(client, people):
    client.ask(AddPool(name="cloud", url="local://cloud?cpus=1"))
    roads = ms.write(pl.DataFrame({"id": [1, 2, 3]}), "roads")
    assert count.submit(roads).result() == 3
    for given in (people, Box(people)):
        with pytest.raises(Denied, match="POOL-008") as caught:
            count.submit(given)
        assert "and it is given people@1" in caught.value.what
    people.polars()
    with pytest.raises(Denied, match="something sensitive had been seen where it was called"):
        count.submit(roads)
    forget_exposure()
    with pytest.raises(Denied, match="POOL-008"):
        keep.submit()
    forget_exposure()
    client.ask(AddPool(name="cloud", url="local://cloud?cpus=1", trust="sensitive"))
    assert count.submit(people).result() == 2


def hold(path):
    """Tell that it runs, until it is told to end."""
    (path / "began").write_text("yes")
    try:
        while not (path / "go").exists():
            time.sleep(0.02)
    finally:
        (path / "cleaned").touch()


def test_a_spent_budget_ends_what_is_rented_with_a_grace_and_it_waits(client, tmp_path, capsys):
    client.ask(AddPool(name="cloud", url="local://cloud?cpus=1", price=1e6))
    run = submit(client, hold, tmp_path, resources=Resources(pool="cloud"))
    wait_for_file(tmp_path / "began")
    client.ask(SetQuota(tenant="default", budget=Money(1.0)))
    for _ in until():
        told = get(client, run)
        if told.state == "queued" and told.attempts:
            break
    assert (tmp_path / "cleaned").exists()
    assert told.attempts[0].reason == "preempted for the budget of default, 1 a month"
    assert told.attempts[0].cost > 0
    for _ in until():  # the bill is closed at the next look
        if client.ask(GetPool(name="cloud")).cost == pytest.approx(told.cost):
            break
    for _ in until():
        assert _run(["why", run.id]) == 0
        if "because preempted for the budget of default, 1 a month, 1st in line" in capsys.readouterr().out:
            break
    assert _run(["runs", "show", run.id]) == 0
    assert "cost" in capsys.readouterr().out
    assert _run(["quotas"]) == 0
    assert "1.00/month" in capsys.readouterr().out
    (tmp_path / "go").touch()
    assert _run(["quotas", "set", "default", "--budget", "none"]) == 0
    assert wait(client, run)[0].state == "succeeded"
