"""What is edited decides what runs again, and the record says so: real scripts, a real owner."""

import os
import subprocess
import sys

import pytest

SCRIPT = """\
import sys
from pathlib import Path

import mainspring as ms
import fakelib
from tools import geo

RATE = 0.1
LIMITS = {"low": [1, 2]}


class Scale:
    factor = 2

    def apply(self, x):
        return x * self.factor


def logged(function):
    def wrapper(x):
        return function(x)
    return wrapper


def clean(x):
    return x + 1


@logged
def double(x):
    return x * 2


def make(power):
    def raised(x):
        return x ** power
    return raised


raise_it = make(1)


@ms.step
def features(rows, file: Path, rate: float = RATE):
    '''Makes features.'''
    import local_only
    found = [clean(geo.far(fakelib.same(x))) for x in rows]
    return [Scale().apply(double(raise_it(x))) * rate + LIMITS["low"][0] + local_only.ONE for x in found]


@ms.pipeline
def train(rows):
    return features(rows, Path(__file__).parent / "data.csv")


if __name__ == "__main__":
    train([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
    print(ms.runs("name = features", limit=1)[0].record.reason)
"""

FILES = {
    "flow.py": SCRIPT,
    "tools/__init__.py": "",
    "tools/geo.py": "def far(x):\n    return near(x) * 10\n\n\ndef near(x):\n    return x\n",
    "local_only.py": "ONE = 1\n",
    "data.csv": "a,b\n",
    "site-packages/fakelib/__init__.py": "def same(x):\n    return x\n",
    "site-packages/fakelib-1.0.dist-info/METADATA": "",
}


class Project:
    """A folder with a script that is run again and again against one home."""

    def __init__(self, root):
        self.root = root
        self.files = {}
        self.write(FILES)

    def write(self, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.files.update(files)

    def edit(self, name, old, new):
        assert old in self.files[name]
        self.write({name: self.files[name].replace(old, new)})

    def run(self, **environment):
        paths = [str(self.root / "site-packages"), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "flow.py"],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.progress = done.stderr
        return done.stdout.strip()


@pytest.fixture
def project(client, tmp_path):
    return Project(tmp_path / "project")


def again(text):
    return f"ran again: {text}"


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("flow.py", "return x + 1", "return x + 2", again("helper clean() of flow.py changed")),
        ("flow.py", "    return [Scale()", "    rows = 1\n    return [Scale()", again("features() of flow.py changed")),
        ("flow.py", "return x * self.factor", "return x + self.factor", again("class Scale of flow.py changed")),
        ("flow.py", "    factor = 2", "    factor = 3", again("class Scale of flow.py changed")),
        (
            "flow.py",
            "return function(x)",
            "return function(x + 1)",
            again("helper logged.wrapper() of flow.py changed"),
        ),
        ("flow.py", "return x * 2", "return x * 3", again("helper double() of flow.py changed")),
        ("flow.py", "return x ** power", "return x ** -power", again("helper make.raised() of flow.py changed")),
        ("flow.py", "make(1)", "make(2)", again("constant make.raised.power of flow.py changed 1 -> 2")),
        ("flow.py", "RATE = 0.1", "RATE = 0.2", again("parameter rate 0.1 -> 0.2")),
        (
            "flow.py",
            '{"low": [1, 2]}',
            '{"low": [1, 3]}',
            again("constant LIMITS of flow.py changed"),
        ),
        ("tools/geo.py", "return near(x) * 10", "return near(x) * 9", again("helper far() of tools/geo.py changed")),
        ("tools/geo.py", "    return x\n", "    return x + 1\n", again("helper near() of tools/geo.py changed")),
        ("local_only.py", "ONE = 1", "ONE = 2", again("module local_only.py changed")),
        ("data.csv", "a,b", "a,c", again("input file changed")),
        ("flow.py", "    train([1,", "    train([0,", again("input rows changed")),
    ],
)
def test_an_edit_is_named(project, name, old, new, reason):
    assert project.run() == "first run of features"
    assert project.run().startswith("cached: nothing changed since run ")
    project.edit(name, old, new)
    assert project.run() == reason
    assert project.run().startswith("cached: nothing changed since run ")


def test_another_version_of_a_library_is_named(project):
    project.run()
    (project.root / "site-packages/fakelib-1.0.dist-info").rename(project.root / "site-packages/fakelib-2.0.dist-info")
    assert project.run() == again("environment: fakelib 1.0 -> 2.0")


def test_what_does_not_matter_runs_nothing_again(project):
    project.run()
    project.edit("flow.py", "def clean(x):\n", "def clean(x):\n    # a comment\n")
    project.edit("flow.py", "'''Makes features.'''", "'''Other words.'''")
    project.edit("flow.py", "return x ** power", "return (x\n            ** power)")
    project.edit("flow.py", "RATE = 0.1\n", "RATE = 0.1\nUNUSED = 3\n\n\ndef unused(): pass\n")
    project.edit("tools/geo.py", "def far", "OTHER = 1\n\n\ndef far")
    assert project.run().startswith("cached: nothing changed")
    assert "HIT" in project.progress


def test_hash_seeds_folders_and_the_clock_do_not_matter(project, tmp_path):
    project.run(PYTHONHASHSEED="1")
    project.root = project.root.rename(tmp_path / "elsewhere")
    assert project.run(PYTHONHASHSEED="2", TZ="Asia/Tokyo").startswith("cached: nothing changed")


def test_a_lost_blob_is_made_again(project, client):
    project.run()
    for blob in client.home.blobs.rglob("*"):
        if blob.is_file():
            blob.unlink()
    assert project.run() == again("its result is gone")
    assert project.run().startswith("cached: nothing changed")
