"""The flights' loop with nobody at home: who applied the pipeline was killed, and its alarm renews the model."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mainspring as ms
from mainspring.domain.messages import ListAlarms, ListRenewals, ListRuns, Stop, StopService
from mainspring.domain.triggers import GetPipeline
from mainspring.sdk.client import connect_home
from mainspring.store.homes import place_home

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights"

WORLD = '''
"""A tenth of the year's flights; in March the mornings are late, which were not before."""
import sys, time

import replay
import polars as pl
import flights
import mainspring as ms

class Small(replay.World):
    def __init__(self, last):
        super().__init__(last)
        month, number, morning = pl.col("month"), pl.col("number"), pl.col("local").dt.hour() < 12
        chance = (number.cast(pl.UInt64) * 2654435761) % 4294967296 / 4294967296
        late = pl.when(chance < pl.when(morning).then(0.7).otherwise(0.05)).then(60.0).otherwise(0.0)
        kept = pl.when(month < 3).then(number % 10 == 0).otherwise(number % 5 == 0)
        delay = pl.when(month < 3).then(pl.col("arr_delay").cast(pl.Float64)).otherwise(late)
        self.flights = self.flights.filter(kept).with_columns(arr_delay=delay)

replay.World = Small
world = replay.open_world(3)
act = sys.argv[1]
if act == "laptop":
    replay.open_service(world, 2)
    print("served", flush=True)
    time.sleep(600)
elif act == "ask":
    world.release_schedule(3)
    flights.ingest(world.known(2, 3))
    service = ms.Service("delays")
    for number, rows in enumerate(world.make_requests(3).iter_slices(200)):
        service.predict(rows, id=f"march-{number}")
elif act == "truth":
    world.release_truth(3)
    flights.ingest(world.known(3))
else:
    service, row = ms.Service("delays"), world.make_requests(3)[:1]
    for number in range(3000):
        service.predict(row, id=f"later-{number}")
        if number % 20 == 0 and service.phase == "steady":
            break
        time.sleep(0.01)
'''


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSPRING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAINSPRING_PROGRESS", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(FLIGHTS)]))
    (tmp_path / "world.py").write_text(WORLD)
    yield tmp_path
    client = connect_home(place_home(tmp_path / "home"))
    client.ask(StopService(name="delays"))
    time.sleep(0.5)
    client.ask(Stop())


def begin(place, act):
    return subprocess.Popen(
        [sys.executable, str(place / "world.py"), act], cwd=place, text=True, stdout=subprocess.PIPE, stderr=None
    )


def finish(place, act):
    with begin(place, act) as process:
        process.communicate(timeout=200)
    assert process.returncode == 0, act


def wait_for(what, service="delays"):
    deadline = time.monotonic() + 200
    while not (found := what()):
        assert time.monotonic() < deadline, f"it never came: {ms.why(service)}"
        time.sleep(0.2)
    return found


@pytest.mark.timeout(600)
def test_the_flights_alarm_renews_the_model_when_who_applied_is_dead(place):
    with begin(place, "laptop") as laptop:
        assert laptop.stdout.readline() == "served\n"
        laptop.send_signal(signal.SIGKILL)
        assert laptop.wait(30) == -signal.SIGKILL
    client = connect_home(place_home(place / "home"))
    assert ms.Model("delays@champion").reference == "delays@1"
    finish(place, "ask")
    finish(place, "truth")  # another process, as a nightly job would be; it knows of no pipeline
    (renewal,) = wait_for(lambda: client.ask(ListRenewals(service="delays")))
    assert client.ask(ListAlarms(service="delays"))
    wait_for(lambda: ms.Service("delays").phase in {"canary", "steady"})
    finish(place, "later")
    wait_for(lambda: ms.Model("delays@champion").reference == "delays@2")
    (renewal,) = client.ask(ListRenewals(service="delays"))
    states = [step["state"] for step in renewal.steps if step["state"] != "canary"]
    assert states == ["opened", "training", "judged", "promoted"]
    started = [run for run in client.ask(ListRuns(kind="pipeline", name="train")) if run.tags.get("trigger") == "alarm"]
    assert [run.state for run in started] == ["succeeded"]
    (trigger,) = client.ask(GetPipeline(name="train")).triggers
    assert (trigger.event, trigger.starts, trigger.run_id) == ("alarm", 1, started[0].id)
    assert "started by On alarm(service=delays)" in str(ms.why(started[0].id)) or renewal.run_id == started[0].id
