"""The same program at a server: values of steps, artifacts and models travel, checked and claimed."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.laptops import Laptop

import mainspring as ms
from mainspring.domain import messages
from mainspring.sdk.client import get_client


@dataclass
class Fitted:
    weights: object
    name: str


class Odd:
    """Has no safe format of its own, so it is pickled."""

    def __init__(self, value):
        self.value = value


@ms.step
def make(size):
    import numpy as np

    return {"x": np.arange(size), "y": np.ones(size)}


@ms.step
def fit(columns):
    return Fitted(columns["x"].sum() + columns["y"], "line")


@ms.step
def keep(fitted):
    folder = Path(tempfile.mkdtemp())
    (folder / "notes.txt").write_text(fitted.name)
    return folder


@ms.step
def wrap(fitted):
    ms.log(loss=0.5, table=fitted.weights, notes="all is well")
    return Odd(float(fitted.weights.sum()))


@ms.pipeline
def work():
    fitted = fit(make(10))
    folder = keep(fitted)
    return wrap(fitted).value + len((folder / "notes.txt").read_text())


@pytest.fixture
def laptop(client, tmp_path, monkeypatch):
    made = Laptop(client, tmp_path / "laptop", monkeypatch)
    yield made
    made.end()


def list_hits(pipeline="work"):
    """Return which steps of the latest run of the pipeline were answered by earlier ones."""
    top = ms.runs(f"name = '{pipeline}'")[0]
    return {each.name: each.cached_from is not None for each in get_client().ask(messages.ListRuns(parent_id=top.id))}


def test_a_pipeline_runs_and_is_answered_from_what_it_stored(laptop):
    first = work()
    assert list_hits() == {"make": False, "fit": False, "keep": False, "wrap": False}
    run = get_client().ask(messages.ListRuns(name="wrap"))[0]
    assert run.metrics == {"loss": 0.5}
    logged = ms.Run(run.id).artifacts
    assert set(logged) == {"table", "notes"}
    laptop.forget()
    for path in Path(tempfile.gettempdir()).glob("*/notes.txt"):
        path.unlink()
    assert work() == first
    assert list_hits() == {"make": True, "fit": True, "keep": True, "wrap": True}
    assert not (laptop.folder / "record.db").exists()
