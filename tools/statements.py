"""Compile the record's statements for SQLite, so that an owner runs them without SQLAlchemy.

Those of a module are there once it is imported; those that are made of a table's name when they are first needed
are met by running a script at an owner in this process.
"""

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import msgspec

from mainspring.control import usecases
from mainspring.control.lifetime import Owner
from mainspring.control.owner import load
from mainspring.store.homes import place_home
from mainspring.store.statements import COMPILED, Statement

_SCRIPT = """
import mainspring as ms

@ms.step
def read(count):
    ms.log(read=count)
    return list(range(count))

@ms.step
def add(numbers):
    return sum(numbers)

@ms.step
def fail():
    raise ValueError("meant")

@ms.pipeline
def train(count):
    return add(read(count))

@ms.step(cpus=0.1)
def climb(height):
    for step in range(9):
        ms.log(score=height * (step + 1), step=step)
    return height

train(3)
train(3)
study = ms.tune(
    climb,
    {"height": [9, 8, 7, 6, 1]},
    metric="score",
    searcher="grid",
    pruner="median",
    budget=ms.Budget(trials=5),
    parallel=4,
    start=[{"height": height} for height in (9, 8, 7, 6)],
)
assert "pruned" in [trial.state for trial in study.trials]
assert add.map([[1], [2]])
try:
    fail()
except ValueError:
    pass
with ms.start_run("by hand"):
    ms.log_params(rate=0.1)
    ms.log(score=1.0)
"""

_PROGRAM = """
from mainspring.domain import experiments as told
from mainspring.sdk.client import connect_home
from mainspring.sdk.homes import current_home, current_project

ask = connect_home(current_home(), current_project()).ask
number = ask(told.AddExperiment(name="told")).number
run_id = ask(told.OpenRun(experiment=number, name="told", tags={"team": "air"})).run.id
for texts in (
    {"params": {"rate": "0.1"}}, {"tags": {"team": "rail"}}, {"params": {"deep": "no"}, "tags": {"lead": "A"}}
):
    ask(told.LogBatch(run_id=run_id, points=[("loss", 0, 1.0, 0.5)], **texts))
ask(told.LogBatch(run_id=run_id, tags={"mlflow.runName": "anew"}, name="anew", remove=("lead",)))
ask(told.SetRun(run_id=run_id, state="succeeded", ended_at=2.0))
ask(told.SetRun(run_id=run_id, state="running", name="again"))
ask(told.GetLoggedRun(run_id=run_id))
"""


def main() -> None:
    """Write what every statement says and how SQLite is told."""
    _work()
    made = {}
    for each in list_statements():
        mark, compiled = each.identify(), each.compile("sqlite")
        if mark and compiled:
            made[mark] = msgspec.json.encode(compiled).decode()
    lines = [f'"{mark}": {made[mark]}' for mark in sorted(made)]
    COMPILED.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def list_statements() -> list[Statement]:
    """Return every statement that was made in this process."""
    load()
    return [each for each in gc.get_objects() if isinstance(each, Statement)]


def _work() -> None:
    with tempfile.TemporaryDirectory() as folder:
        list_statements()
        home, started = Path(folder) / "home", threading.Event()
        owner = Owner(place_home(home))
        owner.commits.call(lambda turn: [hold(turn) for hold in usecases.HOLDS])  # as it does when nobody is there

        async def serve() -> None:
            ready = asyncio.Event()
            running = asyncio.ensure_future(owner.run(ready))
            await ready.wait()
            started.set()
            await running

        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        started.wait()
        environment = {**os.environ, "MAINSPRING_HOME": str(home), "MAINSPRING_PROGRESS": "0"}
        script = Path(folder) / "script.py"
        script.write_text(_SCRIPT, "utf-8")
        try:
            _run(environment, str(script))
            _run(environment, "-c", _PROGRAM)
            asked = ["-m", "mainspring"]
            _run(environment, *asked, "status")
            newest = msgspec.json.decode(_run(environment, *asked, "runs", "--json"))["runs"][0]["id"]
            _run(environment, *asked, "runs", "show", newest)
            _run(environment, *asked, "apply", str(script))
        finally:
            _run(environment, "-m", "mainspring", "stop")
            thread.join()


def _run(environment: dict[str, str], *words: str) -> bytes:
    """Return what a command printed."""
    return subprocess.run([sys.executable, *words], check=True, env=environment, stdout=subprocess.PIPE).stdout


if __name__ == "__main__":
    main()
