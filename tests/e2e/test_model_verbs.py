"""From a model to a service at the command line: models, promote, deploy, services, alarms, why."""

import json
import os
import subprocess
import sys
import time

import httpx
import pytest
from tests.support.shapes import check_shape

SCRIPT = '''
"""Two models of late parcels: one that learned, one that saw shuffled labels."""
import random

import polars as pl
from sklearn.linear_model import LogisticRegression

import mainspring as ms


class Parcel(ms.Contract):
    parcel: str = ms.Field(key=True)
    weight: float = ms.Field(ge=0)
    late: bool = ms.Field()


def make_rows(first, seed):
    draw = random.Random(seed)
    weights = [draw.uniform(0, 10) for _ in range(3000)]
    late = [draw.random() < weight / 10 for weight in weights]
    return pl.DataFrame({"parcel": [f"p{first + n}" for n in range(3000)], "weight": weights, "late": late})


@ms.pipeline
def train():
    past = ms.write(make_rows(0, 1), "parcels", contract=Parcel)
    ms.write(make_rows(3000, 2), "new_parcels", contract=Parcel)
    rows, late = past.xy("late")
    rows = rows.cast(pl.Float32)
    for labels in (late, late.shuffle(seed=3)):
        ms.register(LogisticRegression().fit(rows, labels), "late", example=rows.head(50))


if __name__ == "__main__":
    ms.apply(ms.Gate("late", target="late", better=["auc"]))
    train()
'''


@pytest.fixture(scope="module")
def call(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parcels")
    environment = {**os.environ, "MAINSPRING_HOME": str(folder / "home"), "MAINSPRING_PROGRESS": "0"}
    (folder / "late.py").write_text(SCRIPT)

    def run(*words, code=0):
        command = [sys.executable, "-m", "mainspring", *words]
        done = subprocess.run(
            command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code in {0, 5} else done.stderr

    run("run", "late.py")
    yield run
    run("services", "stop", "parcels")
    run("stop")


def test_a_model_goes_from_the_gate_to_a_service(call):
    models = [line.split("\t")[:3] for line in call("models", "--name", "late").splitlines()]
    assert models == [["model", "aliases", "format"], ["late@2", "-", "onnx"], ["late@1", "-", "onnx"]]
    assert "SERVE-041: late has no champion" in call("deploy", "parcels", "--model", "late@champion", code=2)

    assert call("promote", "late@1", "champion", "--data", "new_parcels").startswith("PASSED  auc +0.")
    check_shape("mainspring promote", call("promote", "late@2", "champion", "--data", "new_parcels", "--json", code=5))
    refused = call("promote", "late@2", "champion", "--data", "new_parcels", code=5)
    assert refused.startswith("REFUSED  ")
    assert "late@2 for champion, against late@1" in refused
    assert "GATE-012" in call("promote", "late@2", "champion", "--data", "parcels", code=2)
    assert [line.split("\t")[0] for line in call("models", "--limit", "1").splitlines()[1:]] == ["late@2", "late@1"]
    shown = call("models", "show", "late@champion")
    assert "model        late@1" in shown
    assert "trained on   parcels@1" in shown
    assert "parity       passed on 3,000 rows" in shown
    assert "REFUSED for champion" in call("why", "late@2")

    service = check_shape("mainspring deploy", call("deploy", "parcels", "--model", "late@champion", "--json"))
    assert service["health"] == "ready"
    assert httpx.get(f"{service['url']}/v2/models/parcels").json()["name"] == "parcels"
    again = json.loads(call("deploy", "parcels", "--model", "late@champion", "--json"))
    assert again["generation"] == service["generation"]

    call("deploy", "parcels", "--model", "late@2", "--rollout", "direct")
    wait_for(lambda: "late@2\t100 %\tlive" in call("services", "show", "parcels"))
    check_shape("mainspring services show", call("services", "show", "parcels", "--json"))
    rolled_back = call("services", "rollback", "parcels", "--reason", "it guesses", "--json")
    check_shape("mainspring services rollback", rolled_back)
    wait_for(lambda: "late@1\t100 %\tlive" in call("services", "show", "parcels"))
    (heading, line) = call("services").splitlines()
    assert heading.startswith("name\tmodel\tsplit\thealth")
    assert line.split("\t")[0] == "parcels"
    assert "parcels  r" in call("status")
    assert "service parcels" in call("why", "parcels")
    assert call("alarms") == ""
    check_shape("mainspring services stop", call("services", "stop", "parcels", "--json"))


def wait_for(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
