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


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """What the script and its owner have imported; the owner is known by its log."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "script.py").write_text(SCRIPT)
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
