"""Runs give way with a grace: they save, wait again, go on where they were, and end with the right result."""

import time

import pytest
from tests.support.preemption import Lab, check_counted, count, hold, ignore, pass_by, put, wait_for_steps
from tests.support.shapes import check_shape

from mainspring.cli.main import _run
from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import CancelRuns, Explain
from mainspring.domain.pools import AddPool
from mainspring.domain.preemptions import PreemptRuns
from mainspring.domain.quotas import Amounts, ListQuotas, SetQuota
from mainspring.domain.records import Resources
from mainspring.domain.tracking import CHECKPOINT, ListArtifacts
from mainspring.sdk.client import Client
from mainspring.testing.engines import get, refuse, submit, until, wait, wait_for_file

CALM_S = 0.2


@pytest.fixture
def lab(monkeypatch, client):
    """Two devices; who has run for a moment may have to give way."""
    monkeypatch.setenv("MAINSPRING_CALM_S", str(CALM_S))
    monkeypatch.setenv("MAINSPRING_GRACE_S", "60")
    made = Lab(client, 2)
    yield made
    made.close()


@pytest.fixture
def anna(lab):
    return lab.of("anna")


@pytest.fixture
def ben(lab):
    return lab.of("ben")


def wait_for_attempt(client, run, number=2):
    for _ in until():
        found = get(client, run)
        if found.attempt >= number:
            return found
    raise AssertionError


def wait_until_saved(client, run):
    """Wait until the owner has been told of a checkpoint, and the run has had its calm."""
    for _ in until():
        saved = client.ask(ListArtifacts(run_id=run.id, name=CHECKPOINT))
        if saved and time.time() - get(client, run).started_at > 2 * CALM_S:
            break


def test_a_guarantee_is_taken_back_and_who_gave_way_goes_on_where_it_was(client, anna, ben, tmp_path):
    client.ask(SetQuota(tenant="ben", guarantee=Amounts(gpus=1)))
    client.ask(SetQuota(tenant="anna", weight=1.0))
    runs = [put(anna, count, tmp_path, name) for name in ("one", "two")]
    for name in ("one", "two"):
        wait_for_steps(tmp_path / f"{name}.saved", 3)
    short = put(ben, pass_by, tmp_path, "short")
    wait_for_file(tmp_path / "short.begun")
    found = [get(anna, run) for run in runs]
    (gone,) = [run for run in found if run.attempt == 2]
    assert {run.attempt for run in found} == {1, 2}
    reason = f"preempted for step pass_by {short.id[-6:]} of ben/{short.principal.partition(':')[2]}"
    assert (gone.state, gone.reason, gone.place) == ("queued", reason, "")
    (attempt,) = gone.attempts
    assert (attempt.reason, attempt.place) == (reason, "rack")
    assert 0.0 < attempt.lost_s < attempt.ended_at - attempt.started_at
    name = "one" if gone.id == runs[0].id else "two"
    assert len((tmp_path / f"{name}.left").read_text().split()) == 1  # its `finally` ran
    lines = anna.ask(Explain(gone.id)).lines
    assert any(line.startswith(f"attempt 1 {reason}; it lost ") for line in lines)
    told = {each.tenant: (each.preempted, each.lost_gpu_s) for each in client.ask(ListQuotas())}
    assert told == {"anna": (1, pytest.approx(attempt.lost_s)), "ben": (0, 0.0)}
    (tmp_path / "short.go").touch()
    wait(ben, short)
    wait_for_steps(tmp_path / f"{name}.begun", 2)
    (tmp_path / "enough").touch()
    for run in wait(anna, *runs):
        assert run.state == "succeeded"
        check_counted(anna, run)
    begun = [int(each) for each in (tmp_path / f"{name}.begun").read_text().split()]
    assert begun[0] == 0
    assert begun[1] >= 3


def test_what_has_nothing_saved_goes_last(client, anna, ben, tmp_path):
    client.ask(SetQuota(tenant="ben", guarantee=Amounts(gpus=1)))
    bare = put(anna, hold, tmp_path, "bare")
    wait_for_file(tmp_path / "bare.begun")
    saving = put(anna, count, tmp_path, "saving")
    wait_for_steps(tmp_path / "saving.saved", 1)
    wait_until_saved(anna, saving)
    short = put(ben, hold, tmp_path, "short")
    wait_for_attempt(anna, saving)
    assert get(anna, bare).attempt == 1
    (tmp_path / "enough").touch()
    assert {run.state for run in [*wait(anna, bare, saving), *wait(ben, short)]} == {"succeeded"}


def test_shares_are_levelled_among_those_that_save(anna, ben, tmp_path):
    runs = [put(anna, count, tmp_path, name) for name in ("one", "two")]
    for name in ("one", "two"):
        wait_for_steps(tmp_path / f"{name}.saved", 1)
    other, more = (put(ben, hold, tmp_path, name) for name in ("other", "more"))
    wait_for_file(tmp_path / "other.begun")
    assert sorted(get(anna, run).attempt for run in runs) == [1, 2]
    assert get(ben, more).state == "queued"
    (tmp_path / "enough").touch()
    assert {run.state for run in wait(ben, other, more)} == {"succeeded"}
    for run in wait(anna, *runs):
        check_counted(anna, run)


def test_what_does_not_hear_the_word_is_killed_after_the_grace(monkeypatch, client, tmp_path):
    monkeypatch.setenv("MAINSPRING_GRACE_S", "0.5")
    client.ask(AddPool(name="rack", url="local://rack?cpus=2&gpus=1"))
    deaf = put(client, ignore, tmp_path, "deaf")
    wait_for_file(tmp_path / "deaf.begun")
    (told,) = client.ask(PreemptRuns(ids=[deaf.id]))
    whom = f"{deaf.principal}, by hand"
    assert (told.state, told.attempt, told.reason) == ("running", 1, f"gives way to {whom}")
    (deaf,) = wait(client, deaf)
    assert (deaf.state, deaf.attempt, deaf.attempts[0].reason) == ("succeeded", 2, f"preempted for {whom}")
    assert deaf.attempts[0].lost_s > 0


def test_a_run_that_gave_way_has_all_its_retries_and_can_be_cancelled(anna, tmp_path):
    run = put(anna, hold, tmp_path, "run", retries=1)
    for number in (2, 3, 4, 5):
        wait_for_steps(tmp_path / "run.begun", number - 1)
        anna.ask(PreemptRuns(ids=[run.id]))
        wait_for_attempt(anna, run, number)
    wait_for_steps(tmp_path / "run.begun", 5)
    anna.ask(PreemptRuns(ids=[run.id]))
    anna.ask(CancelRuns(ids=[run.id]))
    (run,) = wait(anna, run)
    assert (run.state, len(run.attempts)) == ("cancelled", run.attempt - 1)
    assert all(each.reason.startswith("preempted for ") for each in run.attempts)


def test_the_command_tells_beforehand_and_shows_what_was_lost(anna, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MAINSPRING_PROJECT", "anna")
    run = put(anna, count, tmp_path, "run")
    wait_for_steps(tmp_path / "run.saved", 1)
    assert _run(["runs", "preempt", run.id[-8:], "--dry-run", "--json"]) == 0
    assert "gives way to" in check_shape("mainspring runs preempt", capsys.readouterr().out)[0]["reason"]
    assert not get(anna, run).reason.startswith("gives way")
    assert _run(["runs", "preempt", run.id[-8:]]) == 0
    assert "gives way to" in capsys.readouterr().out
    wait_for_attempt(anna, run)
    assert _run(["runs", "show", run.id]) == 0
    shown = capsys.readouterr().out
    assert "preempted for " in shown
    assert "GPU-seconds" in shown
    (tmp_path / "enough").touch()
    check_counted(anna, *wait(anna, run))


def test_what_holds_no_place_of_ours_cannot_give_way(anna, tmp_path):
    running = [put(anna, hold, tmp_path, name) for name in ("one", "two")]
    for name in ("one", "two"):
        wait_for_file(tmp_path / f"{name}.begun")
    waits = put(anna, hold, tmp_path, "three")
    job = submit(anna, pass_by, str(tmp_path), "job", kind="collect", resources=Resources(cpus=0.1))
    wait_for_file(tmp_path / "job.begun")
    for run, why in ((waits, "is queued"), (job, "is one that others wait for")):
        refused = refuse(anna, PreemptRuns(ids=[running[0].id, run.id]))
        assert (refused.code, refused.what.endswith(why)) == ("RUN-025", True)
    assert not get(anna, running[0]).reason.startswith("gives way")
    for name in ("enough", "job.go"):
        (tmp_path / name).touch()
    ended = wait(anna, *running, waits, job)
    assert refuse(anna, PreemptRuns(ids=[ended[0].id])).what.endswith("is succeeded")


def test_a_setting_that_is_none_keeps_the_owner_from_starting(monkeypatch, home):
    monkeypatch.setenv("MAINSPRING_GRACE_S", "3600")
    with pytest.raises(MainspringError, match="HOME-018") as caught:
        Client(home).ask(ListQuotas())
    assert "MAINSPRING_GRACE_S='3600'" in caught.value.what
