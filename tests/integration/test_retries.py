"""Steps that are tried again: how often, how much later, and what the record says of each try."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.homes import end_owner

import mainspring as ms
from mainspring.domain.backoff import MOST_S, find_wait
from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.messages import Explain, GetRun, ListRuns


@ms.step(cache=False)
def stumble(ledger: Path, succeeds: int) -> int:
    """Write the time of each try; succeed at the n-th."""
    with ledger.open("a") as file:
        file.write(f"{time.time()}\n")
    tries = len(read(ledger))
    if tries < succeeds:
        raise OSError(f"try {tries}")
    return tries


@ms.step(cache=False)
def sleep(ledger: Path) -> None:
    with ledger.open("a") as file:
        file.write(f"{time.time()}\n")
    time.sleep(600)


def read(ledger):
    return [float(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def wait_for(true, deadline_s=60):
    until = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@given(st.just(0.0) | st.floats(0.001, 1e6), st.integers(1, 10**6), st.floats(0, 1))
def test_a_wait_doubles_up_to_its_cap_and_half_of_it_is_chance(first_s, failures, luck):
    wait_s = find_wait(first_s, failures, luck)
    whole = find_wait(first_s, failures, 1.0)
    assert whole / 2 <= wait_s <= whole <= MOST_S
    assert failures == 1 or whole == min(MOST_S, 2 * find_wait(first_s, failures - 1, 1.0))
    assert (wait_s == 0) == (first_s == 0)


def test_here_each_try_is_in_the_record(client, tmp_path, capsys):
    quick = stumble.options(retries=3, backoff="20ms")
    assert quick(tmp_path / "ledger", 3) == 3
    (run,) = client.ask(ListRuns(name="stumble"))
    assert [(each.number, each.reason) for each in run.attempts] == [
        (1, "failed, OSError: try 1"),
        (2, "failed, OSError: try 2"),
    ]
    times = read(tmp_path / "ledger")
    for each, before, after in zip(run.attempts, times, times[1:], strict=False):
        assert each.started_at <= before <= each.ended_at
        assert after >= each.ended_at + each.wait_s - 0.001
        assert 0.01 * 2 ** (each.number - 1) <= each.wait_s <= 0.02 * 2 ** (each.number - 1)
    assert "stumble failed, OSError: try 1; retry 1 of 3 in 0.0 s" in capsys.readouterr().err
    assert "attempt 2 failed, OSError: try 2" in client.ask(Explain(thing=run.id)).lines


def test_the_last_failure_is_the_one_that_is_told(client, tmp_path):
    with pytest.raises(OSError, match="try 3"):
        stumble.options(retries=2, backoff=0)(tmp_path / "ledger", 9)
    (run,) = client.ask(ListRuns(name="stumble"))
    assert (run.state, len(run.attempts)) == ("failed", 2)
    assert "try 3" in run.problem.what


def test_on_a_worker_the_wait_is_kept_by_the_record_over_a_killed_owner(client, home, tmp_path):
    future = stumble.options(retries=2, backoff="2s").submit(tmp_path / "ledger", 2)
    wait_for(lambda: client.ask(GetRun(future.id)).attempts)
    waiting = client.ask(GetRun(future.id))
    assert waiting.state == "queued"
    assert waiting.reason.startswith("retry 1 of 2 in ")
    assert "attempt 1 failed" in waiting.reason
    end_owner(home)
    assert future.result() == 2
    (ended,) = client.ask(GetRun(future.id)).attempts
    assert 1.0 <= ended.wait_s <= 2.0
    assert read(tmp_path / "ledger")[1] >= ended.ended_at + ended.wait_s - 0.01


def test_a_run_that_waits_for_its_retry_can_be_cancelled(client, tmp_path):
    future = stumble.options(retries=2, backoff="1h").submit(tmp_path / "ledger", 2)
    wait_for(lambda: client.ask(GetRun(future.id)).attempts)
    future.cancel("enough")
    assert future.wait().state == "cancelled"
    assert len(read(tmp_path / "ledger")) == 1


def test_a_timeout_ends_the_step_and_is_tried_again(client, tmp_path):
    future = sleep.options(timeout="700 ms", retries=1, backoff="10ms").submit(tmp_path / "ledger")
    with pytest.raises(Failed) as caught:
        future.result()
    assert caught.value.code == "RUN-007"
    run = client.ask(GetRun(future.id))
    assert (run.state, run.problem.code, run.attempt) == ("failed", "RUN-007", 2)
    (first,) = run.attempts
    assert first.reason.startswith("failed, sleep: ")
    wait_for(lambda: not _is_alive(run.pid))


def _is_alive(pid):
    return pid > 0 and Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]


@pytest.mark.parametrize("options", [{"backoff": "soon"}, {"backoff": -1}, {"timeout": "10 parsecs"}])
def test_a_text_that_is_no_time_is_refused(options):
    with pytest.raises(Invalid) as caught:
        stumble.options(**options)
    assert caught.value.code == "RUN-003"
