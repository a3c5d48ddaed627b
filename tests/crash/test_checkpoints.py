"""Checkpoints: what is restored, what is refused, and a worker that is killed goes on where it was."""

import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest

import mainspring as ms
from mainspring.domain.errors import Conflict, Interrupted, Invalid
from mainspring.domain.messages import GetRun
from mainspring.domain.tracking import ListArtifacts
from mainspring.sdk.context import active_run

pytestmark = pytest.mark.usefixtures("client")


class Model:
    """Speaks as PyTorch's modules do."""

    def __init__(self):
        self.weights = {"w": np.zeros(3)}

    def state_dict(self):
        return self.weights

    def load_state_dict(self, state):
        self.weights = state


class Plain:
    """Has attributes, and nothing of its own to say."""

    def __init__(self):
        self.best = 0.0
        self.seen = []


@ms.step(cache=False)
def train(folder: str, steps: int, deaths: tuple[int, ...]) -> dict:
    """Count steps, each once, whatever dies on the way."""
    model, total, notes = Model(), {"sum": 0}, Plain()
    generator = np.random.default_rng(7)
    saved = ms.checkpoint()
    first = saved.restore(model, total, notes, generator)
    with (Path(folder) / "begun").open("a") as file:
        file.write(f"{first}\n")
    for step in range(first, steps):
        model.weights["w"] += 1.0
        total["sum"] += step
        notes.seen.append(step)
        ms.log(draw=generator.random())
        saved.save(model, total, notes, generator, step=step)
        mark = Path(folder) / f"died-{step}"
        if step in deaths and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return {"weights": model.weights["w"].tolist(), "sum": total["sum"], "seen": notes.seen}


def test_a_killed_worker_goes_on_where_it_was(client, tmp_path):
    future = train.submit(str(tmp_path), 12, (3, 7))
    assert future.result(timeout=120) == {"weights": [12.0] * 3, "sum": 66, "seen": list(range(12))}
    run = client.ask(GetRun(id=future.id))
    assert run.attempt == 3
    assert (tmp_path / "begun").read_text().split() == ["0", "4", "8"]
    draws = np.random.default_rng(7).random(12)
    assert [value for _, _, value in ms.Run(run.id).series("draw")] == list(draws)
    kept = client.ask(ListArtifacts(run_id=run.id))
    assert [(each.name, each.step) for each in kept] == [("system/checkpoint", 10), ("system/checkpoint", 11)]
    assert ms.Run(run.id).artifacts == {}


def test_everything_that_can_be_restored_in_place():
    things = [
        {"a": 1},
        [1, 2],
        {3},
        bytearray(b"four"),
        np.arange(5),
        random.Random(6),
        Plain(),
        np.random.default_rng(7),
    ]
    drawn = None
    with ms.start_run("a"):
        saved = ms.checkpoint()
        assert saved.restore(*things) == 0
        saved.save(*things, step=41)
        drawn = (things[5].random(), things[7].random())
        things[0]["b"] = things[6].best = 9
        things[1].clear()
        things[2].add(0)
        things[3][:] = b""
        things[4][:] = 0
        same = [id(each) for each in things]
        assert saved.restore(*things) == 42
    assert [id(each) for each in things] == same
    assert things[:4] == [{"a": 1}, [1, 2], {3}, bytearray(b"four")]
    assert things[4].tolist() == [0, 1, 2, 3, 4]
    assert vars(things[6]) == {"best": 0.0, "seen": []}
    assert (things[5].random(), things[7].random()) == drawn


def test_a_resumed_run_has_its_checkpoints():
    total = {"sum": 0}
    with pytest.raises(ValueError, match="enough"), ms.start_run("fit") as run:  # noqa: PT012 - what is saved before
        for step in range(5):
            total["sum"] += step
            ms.log(sum=total["sum"])
            ms.checkpoint(keep=1).save(total, step=step)
        raise ValueError("enough")
    again = {"sum": None}
    with ms.start_run(resume=run.id):
        assert ms.checkpoint().restore(again) == 5
        ms.log(sum=15)
    assert again == total
    assert [(step, value) for step, _, value in ms.Run(run.id).series("sum")][-2:] == [(4, 10.0), (5, 15.0)]


def test_a_damaged_checkpoint_is_passed_over(client, capsys):
    with ms.start_run("fit") as run:
        saved = ms.checkpoint()
        for step in range(2):
            saved.save(np.full(2_000, step), step=step)
        saved.restore(np.zeros(2_000, int))
        newest = client.ask(ListArtifacts(run_id=run.id))[-1]
        client.blobs.delete(newest.value.digest)
        found = np.zeros(2_000, int)
        assert saved.restore(found) == 1
    assert set(found) == {0}
    assert "the checkpoint of step 1 cannot be read: HOME-013" in capsys.readouterr().err


@pytest.mark.parametrize("thing", [1, "text", b"bytes", None, (1, 2), print, Plain])
def test_what_has_no_state_is_refused_and_nothing_is_saved(client, thing):
    with ms.start_run("fit") as run, pytest.raises(Invalid, match="LOG-003"):
        ms.checkpoint().save({"a": 1}, thing, step=0)
    assert client.ask(ListArtifacts(run_id=run.id)) == []


def test_other_objects_than_those_saved_are_refused():
    with ms.start_run("fit"):
        saved = ms.checkpoint()
        saved.save({"a": 1}, np.zeros(3), step=0)
        kept = {"b": 2}
        for things in ((kept,), ([], np.zeros(3)), (kept, np.zeros(3), [])):
            with pytest.raises(Conflict, match="LOG-004: the checkpoint holds dict, array"):
                saved.restore(*things)
        assert kept == {"b": 2}
        with pytest.raises(Conflict, match="LOG-004: object 1 of type ndarray does not take its state"):
            saved.restore({}, np.zeros(4))
        for wrong in (-1, True, "x"):
            with pytest.raises(Invalid, match="STEP-009"):
                saved.save({}, step=wrong)
        with pytest.raises(Invalid, match="STEP-008"):
            ms.checkpoint(keep=0)
    with pytest.raises(Invalid, match="STEP-006"):
        ms.checkpoint()


def test_a_cancelled_run_ends_where_it_saves():
    with pytest.raises(Interrupted), ms.start_run("fit"):  # noqa: PT012 - the run is what ends
        saved = ms.checkpoint()
        active_run().order = "cancel"
        saved.save({}, step=0)
