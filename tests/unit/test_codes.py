"""Error codes are explained without an owner, in Python too."""

import pytest

import mainspring as ms
from mainspring.domain.errors import NotFound


def test_python_explains_a_code_without_a_home(monkeypatch):
    monkeypatch.setenv("MAINSPRING_HOME", "/proc/nowhere")
    reason = ms.why("run-005")
    assert str(reason).startswith("RUN-005: a lease that was lost\n  why: ")
    assert reason.data["kind"] == "conflict"


def test_an_unknown_code_names_the_nearest():
    with pytest.raises(NotFound, match="HOME-009") as caught:
        ms.why("RUN-0055")
    assert caught.value.fix == "mainspring why RUN-005"
