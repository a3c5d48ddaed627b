"""The cache, case by case: what runs a step again and what does not, and that the record names what changed.

One script with a real owner. Each case edits it, runs it, and takes the edit back.
"""

import os
import subprocess
import sys
import threading
import time

import pytest

import mainspring as ms
from mainspring.domain.errors import Invalid
from mainspring.domain.messages import ListRuns

SCRIPT = """\
import enum
import functools
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import mainspring as ms
import fakelib
from tools import geo

RATE = 0.1
OFFSET = 5
LIMITS = {"low": [1, 2]}
WORDS = re.compile("a+")
DEPTH = 4


class Base:
    def shift(self, x):
        return x + 1


class Scale(Base):
    factor = 2

    def apply(self, x):
        return self.shift(x) * self.factor

    @property
    def twice(self):
        return self.factor * 2

    @staticmethod
    def none(x):
        return x * 0


@dataclass
class Window:
    days: int = 7


class Colour(enum.Enum):
    RED = 1


def logged(function):
    def wrapper(x):
        return function(x)
    return wrapper


def timed(function):
    @functools.wraps(function)
    def measured(*args, **kwargs):
        return function(*args, **kwargs)
    return measured


def clean(x, by=1, *, scale=3):
    return x + by * scale


def deep(x):
    return deeper(x) + 1


def deeper(x):
    return x * DEPTH


@logged
def double(x):
    return x * 2


def make(power):
    def raised(x):
        return x ** power
    return raised


raise_it = make(1)
third = functools.partial(max, 3)
fourth = lambda x: x + 4  # noqa: E731


@ms.step
@timed
def features(rows, file: Path, folder: Path, window: Window, rate: float = RATE):
    '''Makes features.'''
    import local_only
    def inner(x):
        return x + 11
    scale = Scale()
    found = [clean(geo.far(fakelib.same(x))) + deep(x) for x in rows]
    found = [inner(third(fourth(x))) + scale.twice + scale.none(x) for x in found]
    found += [Colour.RED.value, len(WORDS.findall("aab")), window.days, OFFSET]
    return [scale.apply(double(raise_it(x))) * rate + LIMITS["low"][0] + local_only.ONE for x in found]


@ms.pipeline
def train(rows, where=""):
    here = Path(__file__).parent
    arguments = rows, here / "data.csv", here / "parts", Window()
    if where == "declared":
        return features.options(env=ms.Env(variables=["REGION"]))(*arguments)
    return features.submit(*arguments).result() if where == "step" else features(*arguments)


def tell():
    run = ms.runs("name = features", limit=1)[0]
    assert f"because {run.record.reason}" in str(ms.why(run.id)), ms.why(run.id)
    print(run.record.reason)


ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]

if __name__ == "__main__":
    where = os.environ.get("WHERE")
    if where == "pipeline":
        ms.run(train, ROWS, wait=True)
    else:
        train(ROWS, where)
    tell()
"""

GEO = """\
from . import earth


def far(x):
    return near(x) * earth.WIDE


def near(x):
    return x
"""

FILES = {
    "flow.py": SCRIPT,
    "tools/__init__.py": "",
    "tools/geo.py": GEO,
    "tools/earth.py": "WIDE = 10\n",
    "local_only.py": "ONE = 1\n",
    "data.csv": "a,b\n",
    "parts/one.txt": "one",
    "site-packages/fakelib/__init__.py": "def same(x):\n    return x\n",
    "site-packages/fakelib-1.0.dist-info/METADATA": "",
}


class Project:
    """A folder with a script that is run again and again against one home."""

    def __init__(self, root, home):
        self.root, self.home = root, home
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *words, **environment):
        paths = [str(self.root / "site-packages"), os.environ.get("PYTHONPATH", "")]
        surroundings = {"PYTHONPATH": os.pathsep.join(paths), "MAINSPRING_HOME": str(self.home), "WHERE": ""}
        done = subprocess.run(
            [sys.executable, *(words or ["flow.py"])],
            cwd=self.root,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **surroundings, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self.progress = done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The script, after its first run and a second one that was a hit."""
    made = Project(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("home") / "home")
    assert made.run() == "first run of features"
    assert made.run().startswith("cached: nothing changed since run ")
    yield made
    made.run("-m", "mainspring", "stop")


RUNS_AGAIN = {
    "the step itself": (
        "flow.py",
        "    scale = Scale()",
        "    rows = rows[::-1]\n    scale = Scale()",
        "features() of flow.py changed",
    ),
    "a helper": ("flow.py", "return x + by * scale", "return x - by * scale", "helper clean() of flow.py changed"),
    "a helper of a helper": ("flow.py", "return x * DEPTH", "return x + DEPTH", "helper deeper() of flow.py changed"),
    "a nested function": ("flow.py", "return x + 11", "return x + 12", "features() of flow.py changed"),
    "a lambda": ("flow.py", "lambda x: x + 4", "lambda x: x + 5", "helper <lambda>() of flow.py changed"),
    "a global number": ("flow.py", "OFFSET = 5", "OFFSET = 6", "constant OFFSET of flow.py changed 5 -> 6"),
    "a global of a helper": ("flow.py", "DEPTH = 4", "DEPTH = 5", "constant DEPTH of flow.py changed 4 -> 5"),
    "a global container": ("flow.py", '{"low": [1, 2]}', '{"low": [1, 3]}', "constant LIMITS of flow.py changed"),
    "a global pattern": ("flow.py", '("a+")', '("a*")', "constant WORDS of flow.py changed"),
    "a partial's argument": ("flow.py", "(max, 3)", "(max, 4)", "constant third.args of flow.py changed"),
    "a captured variable": (
        "flow.py",
        "make(1)",
        "make(2)",
        "constant make.raised.power of flow.py changed 1 -> 2",
    ),
    "a closure's code": ("flow.py", "x ** power", "x ** -power", "helper make.raised() of flow.py changed"),
    "a decorator of a helper": (
        "flow.py",
        "return function(x)",
        "return function(x + 1)",
        "helper logged.wrapper() of flow.py changed",
    ),
    "what a decorator wraps": ("flow.py", "return x * 2\n", "return x * 3\n", "helper double() of flow.py changed"),
    "a decorator of the step": (
        "flow.py",
        "return function(*args, **kwargs)",
        "return list(function(*args, **kwargs))",
        "features() of flow.py changed",
    ),
    "a default of the step": (
        "flow.py",
        "RATE = 0.1",
        "RATE = 0.2",
        "constant features.rate of flow.py changed 0.1 -> 0.2, parameter rate 0.1 -> 0.2",
    ),
    "a default of a helper": (
        "flow.py",
        "clean(x, by=1",
        "clean(x, by=2",
        "constant clean.by of flow.py changed 1 -> 2",
    ),
    "a default by keyword": (
        "flow.py",
        "scale=3)",
        "scale=4)",
        "constant clean.scale of flow.py changed 3 -> 4",
    ),
    "a method": ("flow.py", "self.shift(x) * self", "self.shift(x) + self", "class Scale of flow.py changed"),
    "a property": ("flow.py", "self.factor * 2", "self.factor * 3", "class Scale of flow.py changed"),
    "a static method": ("flow.py", "return x * 0", "return x * 0.0", "class Scale of flow.py changed"),
    "an attribute of a class": ("flow.py", "    factor = 2", "    factor = 3", "class Scale of flow.py changed"),
    "a base class": ("flow.py", "        return x + 1\n", "        return x + 2\n", "class Base of flow.py changed"),
    "an enum's member": ("flow.py", "RED = 1", "RED = 2", "class Colour of flow.py changed"),
    "a class of an argument": ("flow.py", "days: int = 7", "days: int = 8", "input window changed"),
    "a function of another file": (
        "tools/geo.py",
        "return x\n",
        "return x + 1\n",
        "helper near() of tools/geo.py changed",
    ),
    "a constant of another file": (
        "tools/earth.py",
        "WIDE = 10",
        "WIDE = 9",
        "constant WIDE of tools/earth.py changed 10 -> 9",
    ),
    "a file imported within": ("local_only.py", "ONE = 1", "ONE = 2", "module local_only.py changed"),
    "a file's content": ("data.csv", "a,b", "a,c", "input file changed"),
    "a file in a folder": ("parts/one.txt", "one", "two", "input folder changed"),
    "an element of an argument": ("flow.py", "ROWS = [1,", "ROWS = [0,", "input rows changed"),
    "the type of an element": ("flow.py", "ROWS = [1,", "ROWS = [1.0,", "input rows changed"),
}

IS_A_HIT = {
    "a comment": ("flow.py", "def clean(", "# a comment\ndef clean("),
    "a docstring": ("flow.py", "'''Makes features.'''", "'''Other words.'''"),
    "formatting": ("flow.py", "return x ** power", "return (x\n            ** power)"),
    "a function that it does not use": ("flow.py", "RATE = 0.1\n", "RATE = 0.1\n\n\ndef unused(): pass\n"),
    "a constant that it does not use": ("tools/geo.py", "def far", "OTHER = 1\n\n\ndef far"),
    "an import that it does not use": ("flow.py", "import re\n", "import re\nimport json\n"),
    "a pipeline around it": ("flow.py", "    here = Path", "    print('train', file=sys.stderr)\n    here = Path"),
    "the order of definitions": ("flow.py", "RATE = 0.1\nOFFSET = 5\n", "OFFSET = 5\nRATE = 0.1\n"),
    "a file that is written again": ("data.csv", "a,b", "a,b"),
}

THE_SAME_KEY = {
    "in the script's process": ((), {}),
    "a step on a worker": ((), {"WHERE": "step"}),
    "the pipeline on a worker": ((), {"WHERE": "pipeline"}),
    "mainspring run FILE": (("-m", "mainspring", "run", "flow.py"), {}),
    "imported as a module": (("-c", "import flow; flow.train(flow.ROWS); flow.tell()"), {}),
    "other hash seeds and time zones": ((), {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo"}),
    "a variable that is not declared": ((), {"NOT_DECLARED": "1"}),
}


@pytest.mark.parametrize("case", RUNS_AGAIN)
def test_it_runs_again_and_says_why(project, case):
    name, old, new, reason = RUNS_AGAIN[case]
    assert FILES[name].count(old) == 1, case
    project.write(name, FILES[name].replace(old, new))
    try:
        assert project.run() == f"ran again: {reason}"
    finally:
        project.write(name, FILES[name])
        assert project.run().startswith("cached: nothing changed since run ")


def test_it_runs_again_with_another_version_of_a_library(project):
    old, new = (project.root / f"site-packages/fakelib-{each}.0.dist-info" for each in (1, 2))
    old.rename(new)
    try:
        assert project.run() == "ran again: environment: fakelib 1.0 -> 2.0"
    finally:
        new.rename(old)
    assert project.run().startswith("cached: nothing changed since run ")


def test_it_runs_again_with_another_value_of_a_declared_variable(project):
    eu, us = ({"WHERE": "declared", "REGION": region} for region in ("eu", "us"))
    assert project.run(**eu).startswith("ran again: environment: ")
    assert project.run(**eu).startswith("cached: nothing changed since run ")
    told = project.run(**us)
    assert told.startswith("ran again: environment: ")
    assert "REGION" in told
    assert "eu" not in told.partition("environment: ")[2]  # its value is nobody's business
    assert project.run().startswith("cached: nothing changed since run ")


@pytest.mark.parametrize("case", IS_A_HIT)
def test_it_is_a_hit(project, case):
    name, old, new = IS_A_HIT[case]
    assert FILES[name].count(old) == 1, case
    project.write(name, FILES[name].replace(old, new))
    try:
        assert project.run().startswith("cached: nothing changed since run ")
    finally:
        project.write(name, FILES[name])
    assert "HIT" in project.progress


@pytest.mark.parametrize("case", THE_SAME_KEY)
def test_the_key_is_the_same(project, case):
    words, environment = THE_SAME_KEY[case]
    assert project.run(*words, **environment).startswith("cached: nothing changed since run ")


def test_the_key_is_the_same_in_another_folder(project, tmp_path):
    before = project.root
    project.root = project.root.rename(tmp_path / "elsewhere")
    try:
        assert project.run().startswith("cached: nothing changed")
    finally:
        project.root = project.root.rename(before)


def test_a_result_whose_bytes_are_gone_is_no_hit(project):
    for blob in (project.home / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    assert project.run() == "ran again: its result is gone"
    assert project.run().startswith("cached: nothing changed")


@ms.step
def count(rows: ms.Dataset) -> int:
    return len(rows.polars())


def reasons(client, name):
    return [run.reason for run in client.ask(ListRuns(name=name, limit=20))][::-1]


def test_a_dataset_counts_by_its_version(client):
    import polars as pl

    ms.write(pl.DataFrame({"a": [1, 2]}), "numbers")
    assert count(ms.Dataset("numbers")) == 2
    ms.write(pl.DataFrame({"a": [1, 2]}), "numbers")  # equal content is the same version
    assert count(ms.Dataset("numbers")) == 2
    ms.write(pl.DataFrame({"a": [1, 2, 3]}), "numbers")
    assert count(ms.Dataset("numbers")) == 3
    assert count(ms.Dataset("numbers@1")) == 2
    first, second, third, fourth = reasons(client, "count")
    assert first == "first run of count"
    assert second.startswith("cached: ")
    assert third.startswith("ran again: ")
    assert "rows" in third or "numbers" in third
    assert fourth.startswith("cached: ")


@ms.step
def fragile(n: int) -> object:
    if STATE["how"] == "raise":
        raise ValueError("no")
    return threading.Lock() if STATE["how"] == "unstorable" else n


STATE = {"how": "raise"}


def test_what_failed_answers_nothing(client, monkeypatch):
    # What the step reads is exchanged behind its back, so that the key stays.
    found = fragile._identify(client, {"n": 1})
    monkeypatch.setattr(type(fragile), "_identify", lambda self, client, arguments: found)
    with pytest.raises(ValueError, match="no"):
        fragile(1)
    STATE["how"] = "unstorable"
    with pytest.raises(Invalid) as caught:
        fragile(1)
    assert caught.value.code == "STEP-001"
    STATE["how"] = "well"
    assert fragile(1) == 1
    runs = client.ask(ListRuns(name="fragile", limit=10))[::-1]
    assert len({run.key for run in runs}) == 1
    assert [run.state for run in runs] == ["failed", "failed", "succeeded"]
    assert [run.reason for run in runs] == [
        "first run of fragile",
        f"ran again: run {runs[0].id[-6:]} failed",
        f"ran again: run {runs[1].id[-6:]} failed",
    ]


@ms.step
def wait_long(n: int) -> int:
    time.sleep(60 * n)
    return n


def test_what_was_cancelled_answers_nothing(client):
    future = wait_long.submit(1)
    future.cancel()
    assert future.wait().state == "cancelled"
    again = wait_long.submit(1)
    assert client.ask(ListRuns(name="wait_long", limit=1))[0].cached_from is None
    again.cancel()
    again.wait()
