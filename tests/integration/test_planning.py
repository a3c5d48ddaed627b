"""The queue as users see it: when a run will start, who holds what, and the past played again."""

import csv

import pytest
from tests.integration.test_pools import hold
from tests.support.shapes import check_shape

from mainspring.cli.main import _run
from mainspring.domain.messages import Explain
from mainspring.domain.planning import FORETOLD_S, GetQueue
from mainspring.domain.pools import AddPool, DrainNode
from mainspring.domain.quotas import SetQuota
from mainspring.domain.records import Resources
from mainspring.testing.engines import get, submit, until, wait, wait_for_file

ONE, BOTH = (Resources(gpus=gpus, pool="lab") for gpus in (1, 2))


@pytest.fixture
def lab(client):
    return client.ask(AddPool(name="lab", url="local://lab?cpus=4&gpus=2"))


@pytest.fixture
def tell(client, capsys, tmp_path, monkeypatch):
    """Run a command; return what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        assert _run([*words, "--json"]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


def ask_why(client, run):
    """Ask until the owner knows that the run waits."""
    for _ in until():
        reason = client.ask(Explain(run.id, wait_s=FORETOLD_S))
        if "change" in reason.data.get("outlook", ()):
            return reason
    return None


def test_a_run_that_waits_is_told_when_it_starts_and_what_would_start_it_now(client, lab, tell, tmp_path):
    done = [submit(client, print, number, resources=ONE) for number in range(3)]
    wait(client, *done)
    first = submit(client, hold, tmp_path / "go", "first", resources=ONE)
    wait_for_file(tmp_path / "go.pid")
    second = submit(client, print, "second", resources=BOTH)
    reason = ask_why(client, second)
    assert reason.data["outlook"]["change"] == "ask for 1 gpu instead of 2"
    told = reason.data["outlook"]["forecast"]
    assert 0 <= told["low_s"] <= told["half_s"] <= told["high_s"]
    said = "\n".join(check_shape("mainspring why", tell("why", second.id))["lines"])
    assert "waiting for 1 of 2 gpus on lab, 1st in line" in said
    assert "nine of ten such runs start in" in said
    assert "it would start now with: ask for 1 gpu instead of 2" in said
    assert "of it lately, its share now is 100%" in said
    queue = check_shape("mainspring top", tell("top"))
    assert (queue["running"], queue["waits"]) == (1, 1)
    assert [each["run_id"] for each in queue["holding"]] == [first.id]
    assert [(each["run_id"], each["rank"]) for each in queue["waiting"]] == [(second.id, 1)]
    assert {each["place"]: each["gpus"] for each in queue["loads"]}["lab"] == 1.0
    assert _run(["top"]) == 0
    (tmp_path / "go").touch()
    wait(client, first, second)
    assert client.ask(GetQueue()).waits == 0
    assert client.ask(Explain(second.id, wait_s=FORETOLD_S)).data["state"] == "succeeded"


def test_what_waits_for_a_drained_node_or_a_quota_is_told(client, lab):
    client.ask(DrainNode(place="lab"))
    drained = submit(client, print, "drained", resources=ONE)
    assert ask_why(client, drained).data["outlook"]["change"] == "resume node lab"
    client.ask(SetQuota(tenant=ask_why(client, drained).data["outlook"]["tenant"], weight=2.0))
    assert get(client, drained).state == "queued"


def test_the_past_is_exported_and_played_with_more_machines(client, lab, tell, tmp_path, capsys):
    wait(client, *[submit(client, print, number, resources=ONE) for number in range(4)])
    figures = check_shape("mainspring simulate", tell("simulate", "--last", "1h", "--policy", "fifo"))
    assert (figures["runs"], figures["refused"]) == (4, 0)
    check_shape("mainspring simulate", tell("simulate", "--last", "1h", "--export", "trace"))
    with (tmp_path / "trace/runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["num_gpu"], row["pool"], row["gpu_milli"]) for row in rows] == [("1", "lab", "1000")] * 4
    assert {row["tenant"].partition("/")[0] for row in rows} == {"default"}
    again = check_shape("mainspring simulate", tell("simulate", "trace/runs.csv", "--nodes", "trace/nodes.csv"))
    assert (again["runs"], again["refused"]) == (4, 0)
    text = tell("plan", "--pool", "lab", "--gpus", "+2", "--demand", "+100%", "--quota", "default=1", "--plot", "w.svg")
    planned = check_shape("mainspring plan", text)
    assert planned["change"] == "2 gpus more in lab and 100% more demand and a limit of 1 gpus for default"
    assert planned["answer"].startswith(f"with {planned['change']} ")
    assert (planned["today"]["gpus"], planned["planned"]["gpus"]) == (2, 4)
    assert (planned["today"]["figures"]["runs"], planned["planned"]["figures"]["runs"]) == (4, 8)
    assert (tmp_path / "w.svg").read_text().startswith("<svg")
    assert _run(["plan", "--nodes", "-1", "--pool", "lab"]) == 0
    assert "of the runs could never start" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan"], "PLAN-001: nothing is to be changed"),
        (["plan", "--demand", "lots"], "PLAN-001: a demand of 'lots'"),
        (["plan", "--demand", "-100%"], "PLAN-001: a demand of '-100%'"),
        (["plan", "--quota", "air"], "PLAN-001: a quota of 'air'"),
        (["plan", "--quota", "air=0"], "PLAN-001: a quota of 'air=0'"),
        (["plan", "--gpus", "+1"], "SIM-002: the record has no run that had a place"),
        (["simulate"], "CLI-001: what is to be played?"),
        (["simulate", "x.csv", "--last", "1h"], "CLI-001: what is to be played?"),
        (["simulate", "--last", "1h"], "SIM-002: the record has no run that had a place"),
        (["simulate", "--last", "soon"], "RUN-003"),
        (["simulate", "--last", "1h", "--fill", "1.3"], "CLI-001: --fill takes a trace"),
    ],
)
def test_what_cannot_be_played_says_why(client, capsys, words, said):
    assert _run(words) not in {0, 70}
    assert said in capsys.readouterr().err.replace("error: ", "")
