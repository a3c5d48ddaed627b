"""What is not known yet changes nothing: two worlds that differ only in the future give the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mainspring.domain.messages import Stop
from mainspring.sdk.client import connect_home
from mainspring.store.homes import place_home

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights"

SCRIPT = """
import hashlib, json, os, sys
from datetime import datetime

sys.path.insert(0, sys.argv[1])
poisoned = sys.argv[2] == "poisoned"
import numpy as np
import polars as pl
import replay

SEED, NOW = 11, datetime(2013, 3, 15, 12)
world = replay.World(3)
if poisoned:
    chance = np.random.default_rng(SEED)
    later = pl.col("observed_at") > NOW
    for name in ("temp", "wind_speed", "precip"):
        garbage = pl.Series(chance.uniform(0, 150, world.weather.height))
        world.weather = world.weather.with_columns(pl.when(later).then(garbage).otherwise(pl.col(name)).alias(name))
    unknown = pl.col("month") >= 3
    garbage = pl.Series(chance.integers(-60, 900, world.flights.height))
    world.flights = world.flights.with_columns(
        pl.when(unknown).then(garbage).otherwise(pl.col("arr_delay")).alias("arr_delay"),
        pl.when(pl.col("scheduled") > NOW).then(pl.lit("ZZ")).otherwise(pl.col("carrier")).alias("carrier"),
    )
for month in (1, 2):
    world.release_schedule(month)
    world.release_truth(month)
world.release_schedule(3)
os.chdir(replay.WORLD)
import flights
import mainspring as ms

def digest(frame):
    return hashlib.sha256(frame.write_ipc(None, compat_level=pl.CompatLevel.oldest()).getvalue()).hexdigest()

@ms.pipeline
def decide():
    asked, outcomes, weather = flights.ingest(world.landing)
    rows = flights.features(asked, outcomes, [weather, *flights.history(asked, outcomes)])
    past, recent = rows.split(last="14d")
    model = ms.register(flights.fit(past, "", leaves=8), "delays", example=past)
    verdict = ms.promote(model, "champion", data=recent)
    return {"rows": digest(rows.polars().sort("flight_id")), "model": model.version.manifest["model.onnx"],
            "verdict": [bool(verdict), verdict.summary, verdict.evidence["better"], verdict.evidence["slices"]]}

ms.apply(flights.gate)
answer = decide()
world.release_truth(3)  # leaked before its time
flights.history(*flights.ingest(world.landing)[:2])
requests = world.make_requests(3).filter(pl.col("scheduled") <= NOW)
answer["asked"] = requests.height
answer["features"] = digest(requests)
answer["predictions"] = digest(ms.Model("delays@1").predict(requests.select(flights.TEXTS + flights.NUMBERS)))
answer["later"] = digest(world.make_requests(3).filter(pl.col("scheduled") > NOW))
print(json.dumps(answer))
"""


@pytest.fixture
def run_world(tmp_path):
    homes = []

    def run(kind):
        home = tmp_path / kind
        homes.append(home)
        env = {**os.environ, "MAINSPRING_HOME": str(home)}
        script = tmp_path / "world.py"
        script.write_text(SCRIPT)
        done = subprocess.run(
            [sys.executable, str(script), str(FLIGHTS), kind],
            env=env,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    yield run
    for home in homes:
        connect_home(place_home(home)).ask(Stop())


@pytest.mark.timeout(400)
def test_poison_in_the_future_changes_no_feature_no_prediction_and_no_decision(run_world):
    clean, poisoned = run_world("clean"), run_world("poisoned")
    assert clean.pop("later") != poisoned.pop("later"), "the poison does nothing, so this test proves nothing"
    assert clean["asked"] > 10_000
    assert clean == poisoned
