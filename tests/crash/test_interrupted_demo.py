"""The demo under kill -9 of anything, and on servers: it ends with the table of a quiet run on one machine."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mainspring.domain.messages import Stop, StopService
from mainspring.sdk.client import connect_home
from mainspring.store.homes import place_home

REPLAY = Path(__file__).parents[2] / "examples" / "flights" / "replay.py"
SEED = int(os.environ.get("KILL_SEEDS", "3").split(",")[0])
KILLS = 10
KINDS = {
    "owner": "mainspring.control.owner",
    "fork server or worker": "mainspring.worker.forkserver",
    "plane": "mainspring.serving.plane",
}


STEPS = ["ingest", "history", "features", "tune", "fit", "register", "promote"]


def steps(text: str) -> dict[str, str]:
    """What the pipelines say of their steps: HIT with a reason, or how they ran."""
    lines = re.findall(rf"^.{{14}}({'|'.join(STEPS)}|judge_month) +(.*)$", text, re.MULTILINE)
    return {name: "HIT" if re.match(r"HIT .*\(.+\)", told) else told for name, told in lines}


def find(home: Path, module: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if module in line.split("\0") and str(home) in line:
                found.append(int(entry.name))
    return found


def start(home: Path, **places: str) -> subprocess.Popen:
    command = [sys.executable, str(REPLAY), "--last", "3", "--trials", "2"]
    return subprocess.Popen(
        command,
        env={**os.environ, "MAINSPRING_HOME": str(home), **places},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def table(text: str) -> list[str]:
    """The lines that must not depend on kills: the months, the figure, the counts of rows."""
    months = re.findall(r"^2013-03 +[\d,]+ .*delays@1$", text, re.MULTILINE)
    assert months, text
    assert "they agree" in text, text
    return [
        *months,
        *re.findall(r"live minus frozen.*", text),
        *re.findall(r"[\d,]+ flights, [\d,]+ rows captured", text),
    ]


@pytest.fixture
def homes(tmp_path):
    made = [tmp_path / "quiet", tmp_path / "killed", tmp_path / "served"]
    yield made
    for home in made:
        client = connect_home(place_home(home))
        client.ask(StopService(name="delays"))
        time.sleep(1)
        client.ask(Stop())


@pytest.mark.timeout(600)
def test_a_demo_that_is_killed_or_kept_on_servers_ends_as_a_quiet_one(homes, database, bucket):
    quiet, home, served = homes
    out, _ = start(quiet).communicate(timeout=200)
    expected = table(out)
    out, _ = start(served, MAINSPRING_RECORD=database, MAINSPRING_BLOBS=bucket).communicate(timeout=300)
    assert table(out) == expected
    assert {each.name for each in served.iterdir()}.isdisjoint({"record.db", "blobs"})
    again, _ = start(quiet).communicate(timeout=200)
    assert table(again) == expected
    assert steps(again) == dict.fromkeys([*STEPS, "judge_month"], "HIT"), again
    print(f"seed {SEED}")
    chance, kills = random.Random(SEED), Counter()
    replay = start(home)
    while kills.total() < KILLS:
        time.sleep(chance.uniform(0.5, 4))
        kind = chance.choice([*KINDS, "replay"])
        victims = [replay.pid] if kind == "replay" else find(home, KINDS[kind])
        if replay.poll() is not None and kind != "replay":
            break
        if victims:
            try:
                os.kill(chance.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                continue
            kills[kind] += 1
        if kind == "replay":
            replay.communicate()
            replay = start(home)
    out, _ = replay.communicate(timeout=300)
    print(f"kills {dict(kills)}")
    assert replay.returncode == 0, out
    assert table(out) == expected
    assert kills.total() >= 5
