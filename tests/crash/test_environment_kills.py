"""The owner is killed while an environment is built: its successor runs what waited, in one whole environment."""

import io
import signal
import tarfile
import textwrap
from pathlib import Path

import pytest
from tests.support.homes import is_owner
from tests.support.kills import send
from tests.support.speakers import linger

import mainspring as ms
from mainspring.compute.environments import list_environments
from mainspring.domain.messages import GetStatus, ListRuns
from mainspring.sdk.client import connect_home
from mainspring.testing.engines import until

pytestmark = pytest.mark.usefixtures("wheels")

BACKEND = '''
"""Builds a package of one module, and waits where it is told to."""
import os, time, zipfile
from pathlib import Path

def build_wheel(folder, config_settings=None, metadata_directory=None):
    place = Path(os.environ["TARRY_PLACE"])
    with (place / "begun").open("a") as log:
        log.write("begun\\n")
    while not (place / "go").exists():
        time.sleep(0.05)
    name = "tarry-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as archive:
        archive.writestr("tarry.py", "word = 'here'\\n")
        archive.writestr("tarry-1.0.dist-info/METADATA", "Metadata-Version: 2.2\\nName: tarry\\nVersion: 1.0\\n")
        wheel = "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        archive.writestr("tarry-1.0.dist-info/WHEEL", wheel)
        archive.writestr("tarry-1.0.dist-info/RECORD", "")
    return name
'''
PROJECT = """
[project]
name = "tarry"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


@pytest.fixture
def tarry(wheels, tmp_path, monkeypatch):
    """A source distribution whose build goes on until a file appears."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setenv("TARRY_PLACE", str(place))
    about = textwrap.dedent("Metadata-Version: 2.2\nName: tarry\nVersion: 1.0\n")
    with tarfile.open(wheels / "tarry-1.0.tar.gz", "w:gz") as archive:
        for name, text in (("backend.py", BACKEND), ("pyproject.toml", PROJECT), ("PKG-INFO", about)):
            entry = tarfile.TarInfo(f"tarry-1.0/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return place


def list_builders(home):
    """Return the processes that build or serve environments of a home."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"mainspring.worker.environment" in words and str(home.root).encode() in words:
                found.append(int(entry.name))
    return found


def test_an_owner_killed_while_an_environment_is_built(client, home, tarry):
    future = linger.options(env=ms.Env(["tarry"])).submit()
    for _ in until():
        if (tarry / "begun").exists():
            break
    (waiting,) = client.ask(ListRuns(kind="step"))
    assert waiting.started_at is None
    (half,) = list_environments(home.environments)
    assert (half.used_at, half.busy) == (0.0, True)
    owner = int(home.lock.read_text())
    assert is_owner(owner, home)
    assert send(owner, signal.SIGKILL)
    again = connect_home(home)
    again.ask(GetStatus())
    assert int(home.lock.read_text()) != owner
    (tarry / "go").touch()
    word, prefix = future.result(timeout=120)
    (whole,) = list_environments(home.environments)
    assert (word, prefix) == ("here", str(home.environments / whole.name))
    assert whole.used_at > 0
    (run,) = client.ask(ListRuns(kind="step"))
    assert (run.id, run.state) == (waiting.id, "succeeded")
    print(f"attempt {run.attempt}, built {len((tarry / 'begun').read_text().splitlines())} times")
    for _ in until():  # what the killed owner had started ends by itself
        if not list_builders(home):
            break
    again.close()
    assert Path(prefix).exists()
