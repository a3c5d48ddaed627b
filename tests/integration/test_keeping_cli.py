"""Deleting, keeping and bounding as a user types it; a result over the quota fails its run."""

import json
import os

import polars as pl
import pytest

import mainspring as ms
from mainspring.cli.main import main
from mainspring.domain import access
from mainspring.domain.errors import Conflict
from mainspring.domain.messages import SearchRuns
from mainspring.domain.upkeep import PurgeDeleted


@ms.step
def make(length):
    return "x" * length


@pytest.fixture
def shell(client, capsys):
    """Run the command in this process, on the home of the test; return exit code, output and errors."""

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(words)
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return ended.value.code, told.out, told.err

    return run


def test_versions_are_deleted_listed_and_restored(shell):
    for start in (0, 10):
        ms.write(pl.DataFrame({"id": [start]}), "rows")
    code, out, _ = shell("data", "delete", "rows", "--json")
    assert (code, out) == (2, "")
    code, _, err = shell("data", "delete", "rows")
    assert (code, "KEEP-001" in err, "name rows@2" in err) == (2, True, True)
    code, out, _ = shell("data", "delete", "rows@2", "--dry-run", "--json")
    assert (code, json.loads(out)["deletions"][0]["number"]) == (0, 2)
    assert shell("data", "delete", "rows@2")[0] == 0
    assert "rows@2" in shell("data", "--deleted")[1]
    assert "rows@2" not in shell("data", "--name", "rows")[1]
    code, _, err = shell("data", "show", "rows@2")
    assert (code, "mainspring data restore rows@2" in err) == (3, True)
    assert shell("data", "restore", "rows@2")[0] == 0
    code, out, _ = shell("data", "delete", "rows", "--all", "--json")
    assert (code, json.loads(out)["hidden"]) == (0, 2)
    assert shell("data", "restore", "rows", "--all")[0] == 0
    assert "rows@2" in shell("data", "--name", "rows")[1]


def test_runs_are_deleted_by_filter_and_restored(shell, client):
    for length in range(3):
        make(length)
    code, out, _ = shell("runs", "delete", "--filter", "params.length > 0", "--json")
    assert (code, json.loads(out)["hidden"]) == (0, 2)
    left = client.ask(SearchRuns()).runs
    assert [run.params["length"] for run in left] == [0]
    deleted = json.loads(shell("runs", "--deleted", "--json")[1])
    assert len(deleted) == 2
    assert shell("runs", "restore", *(each["id"][-8:] for each in deleted))[0] == 0
    assert len(client.ask(SearchRuns()).runs) == 3
    code, _, err = shell("runs", "delete", "ffffffff")
    assert (code, "RUN-001" in err) == (3, True)
    assert shell("runs", "delete")[0] == 2


def test_tables_fill_a_quota_too_and_a_collection_makes_room(shell, client, home):
    first = ms.write([{"text": "x" * 1000}], "rows")
    held = sum(first.version.manifest["sizes"].values())
    (told,) = client.ask(access.ListProjects())
    assert told.used_bytes == held > 0
    assert shell("projects", "set", "default", "--quota", "10")[0] == 0
    with pytest.raises(Conflict) as caught:
        ms.write([{"text": "more"}], "rows")
    assert (caught.value.code, "'default' holds" in caught.value.what) == ("KEEP-005", True)
    assert len(list((home.tables / "rows").glob("*.parquet"))) == 1, "nothing was written"
    assert ms.Dataset("rows").version.number == 1
    assert shell("data", "delete", "rows", "--all")[0] == 0
    client.ask(PurgeDeleted(before=4e9))
    for path in home.tables.rglob("*.parquet"):
        os.utime(path, (1.0, 1.0))
    code, out, _ = shell("server", "collect")
    assert (code, "1 files removed" in out) == (0, True)
    assert ms.write([{"text": "more"}], "rows").version.number == 2


def test_a_project_is_set_and_its_quota_fails_a_run_that_exceeds_it(shell, client):
    code, out, _ = shell("projects", "set", "default", "--keep-runs", "90d", "--quota", "2 kB", "--json")
    assert (code, json.loads(out)["project"]["keep_runs_s"]) == (0, 90 * 86400)
    make(500)
    with pytest.raises(Conflict) as caught:
        make(3000)
    assert caught.value.code == "KEEP-005"
    assert "mainspring projects set default --quota SIZE" in caught.value.fix
    run = client.ask(SearchRuns(filter="params.length = 3000")).runs[0]
    assert (run.state, run.problem.code, run.outputs) == ("failed", "KEEP-005", None)
    with pytest.raises(Conflict) as caught:
        make.submit(3001).result()
    run = client.ask(SearchRuns(filter="params.length = 3001")).runs[0]
    assert (run.state, run.problem.code) == ("failed", "KEEP-005")
    assert " of 2 kB" in shell("status")[1]
    assert " of 2 kB" in shell("projects")[1]
    code, _, err = shell("projects", "set", "default", "--quota", "much")
    assert (code, "RUN-004" in err) == (2, True)
    code, _, err = shell("projects", "set", "nowhere", "--keep-runs", "1d")
    assert (code, "AUTH-009" in err) == (3, True)
    assert shell("projects", "set", "default", "--quota", "0")[0] == 0
    assert len(make(3000)) == 3000
