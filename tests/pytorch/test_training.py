"""Inside a step, with nothing configured, Lightning, Hugging Face and a plain loop log to its run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import mainspring as ms
from mainspring.domain.messages import GetRun

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
PROGRAMS = Path(__file__).resolve().parents[1] / "fixtures" / "pytorch"


def run_program(name: str) -> list[str]:
    """Return what a program of users prints in a process of its own, as its last three lines."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("MLFLOW")}
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "GIT_PYTHON_REFRESH": "quiet"}
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / name)],
        env={**kept, **quiet},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return done.stdout.splitlines()[-3:]


def test_lightning_logs_by_autolog(client) -> None:
    state, metrics, params = run_program("lightning_program.py")
    assert state == "fit succeeded"
    assert "train_loss_epoch" in metrics.split()
    assert params == "params 3 SGD 0.05"


def test_trainers_of_hugging_face_report(client) -> None:
    state, metrics, params = run_program("transformers_program.py")
    assert state == "fit succeeded"
    assert {"loss", "train_loss"} <= {name.removeprefix("train/") for name in metrics.split()} | set(metrics.split())
    assert params == "params 2 16"


@ms.step(cache=False)
def learn(folder: str, epochs: int, dies_at: int) -> dict:
    """Train a line by a loop that is killed once."""
    torch.manual_seed(1)
    net = torch.nn.Linear(4, 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    inputs = torch.randn(64, 4)
    saved = ms.checkpoint(keep=2)
    first = saved.restore(net, optimizer)
    with (Path(folder) / "begun").open("a") as file:
        file.write(f"{first}\n")
    for epoch in range(first, epochs):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(inputs), inputs.sum(1, keepdim=True))
        loss.backward()
        optimizer.step()
        ms.log(loss=float(loss.detach()))
        saved.save(net, optimizer, step=epoch)
        if epoch == dies_at and first == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return {"weights": net.weight.detach().flatten().tolist()}


def test_a_killed_loop_goes_on_to_the_same_weights(client, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    futures = [learn.submit(str(whole), 8, -1), learn.submit(str(killed), 8, 4)]
    left, right = (each.result(timeout=240) for each in futures)
    assert (killed / "begun").read_text().split() == ["0", "5"]
    assert left == right
    series = [[value for _, _, value in ms.Run(each.id).series("loss")] for each in futures]
    assert series[0] == series[1]
    assert len(series[0]) == 8
    assert client.ask(GetRun(id=futures[1].id)).attempt == 2


class Late(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))

    def forward(self, x):
        share = torch.sigmoid(self.layers(x))[:, 0]
        return {"label": (share > 0.5).long(), "probability": share}


@ms.step(cache=False)
def fit_late() -> object:
    torch.manual_seed(5)
    return Late()


@pytest.mark.filterwarnings("ignore")  # MLflow warns of its own types when it is imported
def test_a_module_of_a_step_is_registered_asked_and_opened_by_mlflow(client, tmp_path: Path) -> None:
    import mlflow.pyfunc
    import pandas as pd

    rng = np.random.default_rng(5)
    rows = pl.DataFrame({"wind": rng.normal(size=500), "hour": rng.integers(0, 24, 500)})
    module = fit_late()
    model = ms.register(module, "delays", example=rows)
    assert model.details["format"] == "onnx"
    assert model.details["parity"]["passed"]
    assert model.details["made_by"]
    with torch.no_grad():
        wanted = module.eval()(torch.tensor(rows.to_numpy(), dtype=torch.float32))["probability"].numpy()
    assert np.abs(ms.Model("delays@1").predict(rows)["probability"].to_numpy() - wanted).max() < 1e-5
    again = ms.Model("delays@1").load().module()
    assert torch.equal(again(torch.zeros(3, 2))["label"], module(torch.zeros(3, 2))["label"])
    for name, path in model.files.items():
        (tmp_path / name).write_bytes(path.read_bytes())
    opened = mlflow.pyfunc.load_model(str(tmp_path)).predict(pd.DataFrame(rows.to_dict(as_series=False)))
    assert np.abs(opened["probability"].to_numpy() - wanted).max() < 1e-5
