"""An unmodified client of MLflow, in an environment of its own, at a real `mainspring up`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.servers import UpProcess

import mainspring as ms

PROGRAMS = Path(__file__).resolve().parents[1] / "fixtures" / "mlflow"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "mlflow.md"
STEPS = """
import sys
sys.path.append({packages!r})
import mlflow
import mainspring as ms
from mainspring.domain.messages import GetRun
from mainspring.sdk.client import get_client

@ms.step
def fit(n):
    mlflow.log_metric("loss", 0.5, step=n)
    mlflow.log_param("n", n)
    with mlflow.start_run(nested=True, run_name="inner"):
        mlflow.log_metric("inner", 1)
    return mlflow.active_run().info.run_id

@ms.step
def score():
    mlflow.log_metric("score", 0.75)
    return mlflow.active_run().info.run_id

@ms.pipeline
def both():
    return fit(3), score()

if __name__ == "__main__":
    for told in both():
        run = get_client().ask(GetRun(id=told))
        print(run.name, run.state, run.metrics, run.params)
    assert mlflow.active_run() is None
"""


@pytest.fixture
def up(home):
    server = UpProcess()
    yield server
    server.end()


def run_program(python, name, variables):
    kept = {key: text for key, text in os.environ.items() if not key.startswith(("MLFLOW", "PYTHON"))}
    done = subprocess.run(
        [str(python), str(PROGRAMS / name)],  # a whole path stays as it is
        env={**kept, **variables, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "GIT_PYTHON_REFRESH": "quiet"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def read_variables():
    told = subprocess.run(
        [sys.executable, "-m", "mainspring", "status", "--env"], capture_output=True, text=True, timeout=60, check=True
    )
    lines = [line.removeprefix("export ").partition("=") for line in told.stdout.splitlines()]
    return {name: text for name, _, text in lines}


def test_experiments_and_runs(up, mlflow_python):
    variables = read_variables()
    assert variables["MAINSPRING_URL"] == up.url
    done = run_program(mlflow_python, "tracking.py", variables)
    assert variables["MAINSPRING_TOKEN"] not in done.stdout + done.stderr


def test_the_program_of_the_guide_runs_as_it_stands(up, mlflow_python, tmp_path):
    (program,) = re.findall(r"```python not-run: MLflow's own[^\n]*\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "program.py").write_text(program)
    done = run_program(mlflow_python, tmp_path / "program.py", read_variables())
    assert done.stdout.splitlines()[-1] == "1 True"
    assert ms.runs('experiment = "irises"')[0].name == "first fit"
    assert ms.Model("iris classifier@best").reference == "iris classifier@1"


def test_what_a_step_logs_with_mlflow_goes_to_its_run(home, tmp_path, mlflow_python):
    packages = subprocess.run(
        [str(mlflow_python), "-c", "import mlflow, pathlib; print(pathlib.Path(mlflow.__file__).parents[1])"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.strip()
    program = tmp_path / "program.py"
    program.write_text(STEPS.format(packages=packages))
    kept = {key: text for key, text in os.environ.items() if not key.startswith("MLFLOW")}
    done = subprocess.run(
        [sys.executable, str(program)], env=kept, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fit succeeded {'loss': 0.5} {'n': 3}" in done.stdout
    assert "score succeeded {'score': 0.75}" in done.stdout


def test_artifacts_logged_models_autologging_and_evaluation(up, mlflow_python):
    done = run_program(mlflow_python, "models.py", read_variables())
    *_, run_id = done.stdout.split()
    logged = ms.runs(f'id = "{run_id}"')[0].artifacts
    assert logged["note.txt"].load().read_text() == "hello"
    assert logged["out/sub/ü 100%.bin"].size_bytes == 3_000_000
