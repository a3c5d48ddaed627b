"""A model that is code: registered with a word for it, and served by a process of its own."""

import importlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.support.serving import wait_for_planes

import mainspring as ms
from mainspring.domain.errors import Denied, MainspringError
from mainspring.domain.messages import StopService

RULES = """
import os

FACTOR = 3.0


def scale(rows):
    return rows["x"].to_numpy() * FACTOR


class Rule:
    \"\"\"Answers, and tells by which process.\"\"\"

    def predict(self, rows):
        if rows["x"][0] < 0:
            raise ValueError("nothing is below zero")
        return [[value, float(os.getpid())] for value in scale(rows)]
"""


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """A module of a project, which is gone when the model is asked."""
    (tmp_path / "rules_of_a_shop.py").write_text(RULES)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("rules_of_a_shop")
    del sys.modules["rules_of_a_shop"]


def test_code_is_deployed_and_answers_when_its_module_and_its_process_are_gone(rules, client, tmp_path):
    with pytest.raises(MainspringError, match="MODEL-002"):
        ms.register(rules.Rule(), "rule", example={"x": [1.0, 2.0]})
    model = ms.register(rules.Rule(), "rule", example={"x": [1.0, 2.0]}, allow_code=True)
    (tmp_path / "rules_of_a_shop.py").unlink()
    assert model.details["format"] == "sealed"
    assert model.predict({"x": [2.0]})["value"].to_list()[0][0] == 6.0
    assert type(model.load()).__name__ == "Rule"
    service = ms.deploy("shop", "rule@1")
    try:
        given = [{"x": each} for each in (1.0, 2.5)]
        answers = np.array(service.predict(given)["value"]).reshape(2, 2)
        assert answers[:, 0].tolist() == [3.0, 7.5]
        pid = int(answers[0, 1])
        process = Path(f"/proc/{pid}")
        assert b"mainspring.models.cell" in (process / "cmdline").read_bytes()
        assert b"MAINSPRING" not in (process / "environ").read_bytes()
        with pytest.raises(MainspringError, match="nothing is below zero"):
            service.predict([{"x": -1.0}])
        os.kill(pid, signal.SIGKILL)
        again = np.array(service.predict(given)["value"]).reshape(2, 2)
        assert again[:, 0].tolist() == [3.0, 7.5]
        assert int(again[0, 1]) != pid
    finally:
        client.ask(StopService("shop"))
        wait_for_planes(client.home)


def test_code_that_another_key_has_sealed_is_not_served(rules, client):
    """As when files were changed, or came from another home."""
    model = ms.register(rules.Rule(), "rule", example={"x": [1.0]}, allow_code=True)
    path = model.files["model.sealed"]
    client.home.project_key.unlink()
    with pytest.raises(MainspringError, match="HOME-012"):
        ms.deploy("shop", "rule@1")
    client.ask(StopService("shop"))
    wait_for_planes(client.home)
    assert path.exists()


def test_code_of_a_folder_is_kept_only_with_a_word_for_it(client, tmp_path):
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    python_model: python_model.pkl\n"
    )
    (tmp_path / "python_model.pkl").write_bytes(b"no pickle at all")
    with pytest.raises(Denied) as refused:
        ms.register(tmp_path, "foreign", example={"x": [1.0]})
    assert refused.value.code == "MODEL-061"
    assert refused.value.what == "python_model.pkl is code of MLflow's python_function, which runs when it is opened"
    assert "allow_code=True" in refused.value.fix
