"""An owner killed while it lets old things go: nothing goes by halves, and the next owner goes on."""

import os
import time

from mainspring.domain import access, messages
from mainspring.domain.upkeep import ListDeleted

RUNS = 60


def wait_for(condition, what):
    until = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < until, what
        time.sleep(0.05)
    return found


def make_runs(client):
    """Finish runs, each with one below it."""
    tops = []
    for number in range(RUNS):
        top = client.ask(messages.BeginRun(kind="step", name=f"r{number}")).run
        below = client.ask(messages.BeginRun(kind="step", name="below", parent_id=top.id)).run
        for run in (below, top):
            client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded"))
        tops.append(top.id)
    return tops


def test_a_killed_retention_goes_on(client, start, tmp_path):
    mark = tmp_path / "killed"
    start(MAINSPRING_CRASH=f"retention.hidden:7:{mark}")
    tops = make_runs(client)
    client.ask(access.SetProject(name="default", keep_runs_s=0.001))
    wait_for(mark.exists, "no owner was killed")
    gone = wait_for(
        lambda: len(found := client.ask(ListDeleted(kind="run", limit=1000))) == RUNS and found, "not all went"
    )
    assert {each.id for each in gone} == set(tops)
    assert client.ask(messages.SearchRuns(count=True)).count == 0
    assert len(client.ask(access.ListAudit(limit=1000))) >= RUNS


def test_killed_while_files_go_the_next_owner_goes_on(home, client, start, tmp_path):
    mark = tmp_path / "killed"
    logs = home.logs / "runs"
    logs.mkdir(parents=True, exist_ok=True)
    then = time.time() - 100_000
    strays = [logs / f"{number:032x}-1.log" for number in range(20)]
    for path in strays:
        path.write_text("told")
        os.utime(path, (then, then))
    young = logs / f"{'f' * 32}-1.log"
    young.write_text("told")
    start(MAINSPRING_CRASH=f"litter.removed:5:{mark}")
    wait_for(mark.exists, "no owner was killed")
    assert sum(path.exists() for path in strays) == 15
    client.ask(messages.GetStatus())  # starts the next one
    wait_for(lambda: not any(path.exists() for path in strays), "not all went")
    assert young.exists()
