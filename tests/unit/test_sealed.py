"""Models kept as code: what they answer, class by class, and the process of their own that does it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mainspring.domain.errors import Failed, Invalid, Unavailable
from mainspring.models.apart import Apart
from mainspring.models.cell import name_answers
from mainspring.models.runtime import load_predictor
from mainspring.models.sealed import seal_package
from mainspring.security.seals import Seal

SEAL = Seal(b"k" * 32)
ROWS = {"x": np.array([0, 1, 2, 3])}
PATIENCE_S = 60


def make_classifier(count):
    """Return a classifier of a user's own, with some classes, which travels by its content."""

    class Classes:
        def predict(self, rows):
            return rows["x"].to_numpy() % count

        def predict_proba(self, rows):
            return np.eye(count)[self.predict(rows)]

    return Classes()


def pack(model):
    return seal_package(model, pl.DataFrame({"x": [0, 1, 2, 3]}), SEAL)


def run_apart(function):
    import cloudpickle

    return Apart(cloudpickle.dumps(function))


def test_of_two_classes_the_probability_of_the_second_is_answered():
    assert [(each.name, each.width) for each in pack(make_classifier(2)).signature.outputs] == [
        ("label", 1),
        ("probability", 1),
    ]


def test_of_several_classes_each_probability_is_answered():
    assert [(each.name, each.width) for each in pack(make_classifier(3)).signature.outputs] == [
        ("label", 1),
        ("probability", 3),
    ]


def test_texts_are_labels_and_several_numbers_are_a_row(tmp_path):
    def name(rows):
        return ["odd" if each % 2 else "even" for each in rows["x"]]

    def square(rows):
        return np.column_stack([rows["x"], rows["x"] ** 2])

    names, squares = pack(name), pack(square)
    assert [(each.name, each.datatype) for each in names.signature.outputs] == [("label", "BYTES")]
    assert [(each.name, each.width) for each in squares.signature.outputs] == [("value", 2)]
    for file, content in squares.files.items():
        (tmp_path / file).write_bytes(content)
    predictor = load_predictor({file: tmp_path / file for file in squares.files}, seal=SEAL)
    assert predictor.predict(ROWS)["value"].tolist() == [[0, 0], [1, 1], [2, 4], [3, 9]]


def test_code_runs_in_another_process_which_has_no_settings_of_this_one(monkeypatch):
    monkeypatch.setenv("MAINSPRING_HOME", "/somewhere")

    def tell(rows):
        import os

        print("what code prints is no answer")
        known = "MAINSPRING_HOME" in os.environ or os.environ["HOME"] == str(rows)
        return [os.getpid() + known * 1_000_000_000] * len(rows)

    apart = run_apart(tell)
    first, second = (apart.ask(ROWS)["value"] for _ in range(2))
    assert set(first) == set(second)
    assert first[0] not in {os.getpid(), os.getpid() + 1_000_000_000}
    assert first[0] < 1_000_000_000


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (lambda rows: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda rows: [1.0], "it answers value of shape [1] for 4 rows"),
        (lambda rows: np.zeros((4, 2, 2)), "it answers value of shape [4, 2, 2]"),
        (lambda rows: os._exit(3), "ended without an answer"),
    ],
)
def test_code_that_gives_no_answer_is_told_and_is_not_kept(answer, what):
    with pytest.raises(Failed) as caught:
        run_apart(answer).ask(ROWS)
    assert caught.value.code == "MODEL-064"
    assert what in caught.value.what
    with pytest.raises(Invalid) as refused:
        pack(answer)
    assert refused.value.code == "MODEL-002"
    assert what in refused.value.what


def test_an_answer_has_the_names_of_a_models_outputs():
    with pytest.raises(ValueError, match="it answers 'late', which is none of label, probability, value"):
        name_answers({"late": [1.0] * 4}, ROWS)


def test_a_process_that_ended_is_followed_by_another():
    def crash(rows):
        if rows["x"][0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return rows["x"].to_numpy() * 2.0

    apart = run_apart(crash)
    for _ in range(2):
        with pytest.raises(Failed, match="MODEL-064"):
            apart.ask({"x": np.array([-1])})
        assert apart.ask(ROWS)["value"].tolist() == [0, 2, 4, 6]


def test_a_package_that_is_missing_is_named():
    def want(rows):
        import nowhere_to_be_found

        return nowhere_to_be_found.rows

    with pytest.raises(Unavailable) as caught:
        pack(want)
    assert (caught.value.code, caught.value.fix) == ("MODEL-011", "pip install nowhere_to_be_found")


HOLDER = """
import os, sys, time
import cloudpickle, numpy as np
from mainspring.models.apart import Apart

apart = Apart(cloudpickle.dumps(lambda rows: [os.getpid()] * len(rows)))
print(int(apart.ask({"x": np.array([0])})["value"][0]), flush=True)
time.sleep(600)
"""


def test_it_ends_with_the_process_that_asked():
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    pid = int(holder.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    holder.kill()
    holder.communicate()
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
