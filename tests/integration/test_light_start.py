"""What a first script and its owner load, by name: each library that is not needed is CPU that everybody pays."""

import os
import subprocess
import sys

import pytest
from tests.support.homes import end_owner

from mainspring.store.homes import place_home

SCRIPT = """
import mainspring as ms

@ms.step
def read(count):
    return list(range(count))

@ms.step
def add(numbers):
    return sum(numbers)

@ms.step
def tell(total):
    return {"total": total}

@ms.pipeline
def train():
    return tell(add(read(100)))

assert train() == {"total": 4950}
"""
COMPRESSION = {"bz2", "lzma", "shutil", "tempfile", "zipfile"}
EITHER = COMPRESSION | {
    "_ssl", "argparse", "difflib", "getpass", "html", "importlib.metadata", "zoneinfo",
    "mainspring.api", "mainspring.models", "numpy", "polars", "sqlalchemy",
}  # fmt: skip
IN_SCRIPT = EITHER | {
    "asyncio", "base64", "dataclasses", "logging", "pickle", "random", "secrets", "traceback",
    "mainspring.control", "mainspring.domain.access", "mainspring.domain.experiments", "mainspring.domain.registry",
    "mainspring.domain.triggers", "mainspring.sdk.remote",
}  # fmt: skip
IN_OWNER = EITHER | {"email", "http", "mainspring.sdk", "mainspring.worker"}


def list_imports(text):
    """Return what Python tells that it has imported."""
    return {line.rpartition("|")[2].strip() for line in text.splitlines() if line.startswith("import time:")}


TOLD = """
from mainspring.domain import experiments as told
from mainspring.sdk.client import connect_home
from mainspring.sdk.homes import current_home, current_project

ask = connect_home(current_home(), current_project()).ask
run = ask(told.OpenRun(name="told", tags={"team": "air"})).run
ask(told.LogBatch(run_id=run.id, params={"rate": "0.1"}))
ask(told.LogBatch(run_id=run.id, points=[("loss", 0, 1.0, 0.5)]))
ask(told.LogBatch(run_id=run.id, points=[("loss", 1, 2.0, 0.4)], params={"deep": "no"}, tags={"team": "rail"}))
ask(told.SetRun(run_id=run.id, state="succeeded", ended_at=3.0))
found = ask(told.GetLoggedRun(run_id=run.id))
assert (found.run.params, found.run.tags) == ({"rate": "0.1", "deep": "no"}, {"team": "rail"}), found
assert (found.run.state, found.latest) == ("succeeded", [("loss", 1, 2.0, 0.4)]), found
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """What the script and its owner have imported."""
    return run_script(tmp_path_factory.mktemp("light"), SCRIPT)


def run_script(folder, script):
    """Run a script in a home of its own; return what it and its owner, known by its log, have imported."""
    (folder / "script.py").write_text(script)
    home = place_home(folder / "home")
    settings = {"MAINSPRING_HOME": str(home.root), "PYTHONPROFILEIMPORTTIME": "1", "MAINSPRING_PROGRESS": "0"}
    try:
        told = subprocess.run(
            [sys.executable, "script.py"],
            cwd=folder,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        return {"script": list_imports(told.stderr), "owner": list_imports((home.logs / "owner.log").read_text())}
    finally:
        end_owner(home)


@pytest.mark.parametrize(
    ("process", "needed", "forbidden"),
    [
        pytest.param("script", "mainspring.sdk.client", IN_SCRIPT, id="script"),
        pytest.param("owner", "mainspring.store.runs", IN_OWNER, id="owner"),
    ],
)
def test_a_first_script_loads_what_it_needs(loaded, process, needed, forbidden):
    assert needed in loaded[process]
    assert sorted(loaded[process] & forbidden) == []


def test_a_run_that_is_told_of_needs_no_sqlalchemy(tmp_path):
    """As MLflow's clients do; what they ask is compiled before the release."""
    loaded = run_script(tmp_path, TOLD)["owner"]
    assert "mainspring.store.logged_runs" in loaded
    assert "sqlalchemy" not in loaded
