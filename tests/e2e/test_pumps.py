"""The main job on another problem: from a CSV to a service that renews itself after the world turned."""

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import mainspring as ms
from mainspring.domain.messages import ListAlarms, ListRenewals, Stop, StopService
from mainspring.sdk.client import connect_home
from mainspring.store.homes import place_home

SEED = 7
PUMPS = Path(__file__).parent / "pumps" / "pumps.py"
START = datetime(2030, 1, 1)  # noqa: DTZ001 - tables hold UTC without a zone


def make_days(first: int, last: int, *, turned: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Readings and outcomes of days; when the world has turned, low pressure breaks pumps instead of high."""
    chance = np.random.default_rng([SEED, first])
    count = (last - first) * 60
    minutes = np.sort(chance.integers(first * 1440, last * 1440, count))
    pressure = chance.normal(14 if turned else 20, 4, count).clip(0.1, 39.9)
    vibration = chance.gamma(2.0, 1.0, count)
    site = chance.choice(["north", "south"], count)
    risk = (-1 if turned else 1) * (pressure - (14 if turned else 20)) / 3 + vibration - 3
    failed = chance.random(count) < 1 / (1 + np.exp(-risk))
    ids = [f"r{first:03d}{number:05d}" for number in range(count)]
    times = [START + timedelta(minutes=int(minute)) for minute in minutes]
    readings = pl.DataFrame(
        {"reading_id": ids, "taken_at": times, "site": site, "pressure": pressure, "vibration": vibration}
    )
    return readings, readings.select("reading_id", "taken_at").with_columns(failed=pl.Series(failed))


@pytest.fixture
def place(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("MAINSPRING_HOME", str(home))
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "pumps.py").write_text(PUMPS.read_text())
    yield project
    client = connect_home(place_home(home))
    for service in ("pumps",):
        client.ask(StopService(name=service))
    time.sleep(0.5)
    client.ask(Stop())


def drop(project: Path, name: str, readings: pl.DataFrame, outcomes: pl.DataFrame | None = None) -> None:
    readings.write_csv(project / "data" / f"readings-{name}.csv")
    if outcomes is not None:
        outcomes.write_csv(project / "data" / f"outcomes-{name}.csv")


def run_python(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: PLW1510 - the code is asserted with the text
        [sys.executable, *arguments], cwd=project, capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return done


def ask_service(service: ms.Service, readings: pl.DataFrame, size: int = 16) -> None:
    """Ask for all readings; while a canary runs at a pace that leaves it the time to advance."""
    for number, batch in enumerate(readings.iter_slices(size)):
        answer = service.predict(batch, id=f"{batch['reading_id'][0]}-{number}")
        assert len(answer["probability"]) == batch.height
        if service.phase == "canary":
            time.sleep(0.02)


def wait_until(service: ms.Service, *phases: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while service.phase not in phases:
        assert time.monotonic() < deadline, f"still {service.phase}: {ms.why('pumps')}"
        time.sleep(0.2)


@pytest.mark.timeout(300)
def test_a_service_renews_itself_after_the_world_turned(place):
    print(f"seed {SEED}")
    drop(place, "a", *make_days(0, 40, turned=False))
    assert run_python(place, "pumps.py").stdout.strip() == "pumps@1"
    again = run_python(place, "pumps.py")
    assert again.stdout.strip() == "pumps@1"
    assert again.stderr.count("HIT") >= 3, again.stderr

    service, client = ms.Service("pumps"), connect_home(place_home(Path(os.environ["MAINSPRING_HOME"])))
    assert ms.Model("pumps@champion").reference == "pumps@1"
    quiet, truth = make_days(40, 50, turned=False)
    ask_service(service, quiet)
    drop(place, "b", quiet, truth)
    run_python(place, "-c", "import pumps; pumps.ingest(pumps.Path('data'))")
    wait_until(service, "steady")
    assert client.ask(ListRenewals(service="pumps")) == []

    turned, truth = make_days(50, 70, turned=True)
    ask_service(service, turned)
    drop(place, "c", turned, truth)
    run_python(place, "-c", "import pumps; pumps.ingest(pumps.Path('data'))")
    wait_until(service, "canary", "steady")
    late, late_truth = make_days(70, 90, turned=True)
    ask_service(service, late, size=2)  # enough requests for a canary
    wait_until(service, "steady")

    (renewal,) = client.ask(ListRenewals(service="pumps"))
    assert [step["state"] for step in renewal.steps if step["state"] != "canary"] == [
        "opened", "training", "judged", "promoted"
    ]  # fmt: skip
    assert client.ask(ListAlarms(service="pumps"))
    assert ms.Model("pumps@champion").reference == "pumps@2"
    scores = late.join(late_truth.select("reading_id", "failed"), on="reading_id")
    auc = {number: score(ms.Model(f"pumps@{number}"), scores) for number in (1, 2)}
    assert auc[2] > auc[1] + 0.2, auc
    asked = quiet.height + turned.height + late.height
    deadline = time.monotonic() + 10
    while service.statistics["rows"] != asked and time.monotonic() < deadline:
        time.sleep(0.1)  # what a plane reports is some 0.2 s old
    assert service.statistics["rows"] == asked
    print(json.dumps(auc))


def score(model: ms.Model, rows: pl.DataFrame) -> float:
    from sklearn.metrics import roc_auc_score

    predicted = model.predict(rows.select("site", "pressure", "vibration"))
    return float(roc_auc_score(rows["failed"].to_numpy(), predicted["probability"].to_numpy()))
