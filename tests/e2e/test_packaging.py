"""The wheel, installed alone: it is small, it has its examples, it runs a pipeline."""

import os
import subprocess
import zipfile

import pytest
from bench.install import build_wheel, install_core, weigh


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel):
    return install_core(wheel)


@pytest.fixture
def call(python, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"MAINSPRING_HOME": str(tmp_path / "home"), "PATH": f"{python.parent}:{os.environ['PATH']}"}

    def run(*words, cwd=tmp_path):
        done = subprocess.run(words, check=False, cwd=cwd, env=environment, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield run
    run("mainspring", "stop")


def test_the_wheel_holds_code_types_licence_and_examples(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "mainspring/py.typed" in names
    for name in ("hello/hello.py", "flights/flights.py", "flights/replay.py"):
        assert f"mainspring/_examples/{name}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "bench", "tools")) or "__pycache__" in name]


def test_a_core_install_is_small(python):
    weights = weigh(python)
    assert len(weights) <= 25
    assert sum(weights.values()) <= 100
    assert not weights.keys() & {"numpy", "polars", "scikit-learn", "onnxruntime", "deltalake"}


def test_the_core_alone_runs_a_pipeline(call, tmp_path):
    call("mainspring", "init")
    first = call("python", "hello.py", cwd=tmp_path / "hello")
    assert first.startswith("error 0.")
    again = call("python", "hello.py", cwd=tmp_path / "hello")
    assert again.split()[:2] == first.split()[:2]
    rows = call("mainspring", "runs", "kind = step").splitlines()
    assert [row.split("\t")[3] for row in rows[1:]] == ["hit"] * 3 + ["succeeded"] * 3


def test_the_year_of_flights_begins_from_the_wheel(call, tmp_path):
    assert "flights.py" in call("mainspring", "init", "year", "--example", "flights")
    text = (tmp_path / "year" / "flights.py").read_text("utf-8")
    assert "import mainspring as ms" in text


def test_python_m_is_the_command(call):
    assert call("python", "-m", "mainspring", "--version") == call("mainspring", "--version")
