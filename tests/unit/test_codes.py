"""Error codes are explained without an owner, in Python too."""

import ast
import doctest
import re
from pathlib import Path

import pytest

import mainspring as ms
from mainspring.domain import errors
from mainspring.domain.catalogue import ENTRIES
from mainspring.domain.errors import Conflict, Failed, NotFound, fill_places
from mainspring.domain.records import Problem
from mainspring.domain.wire import describe, restore

SOURCE = Path(ms.__file__).parent
# There the problem is told by who knows the name: `encode_refusal`, `end_run`, the caller of a transition.
TOLD_LATER = {"domain", "serving", "models/signature.py", "sdk/runs.py"}


def test_a_problem_of_a_code_that_is_not_known_here_comes_back_with_it():
    """A newer worker may have told it; its context may have names that an error has itself."""
    context = {"code": 7, "self": 1, "run": "r"}
    told = restore(Problem("NEXT-001", "what happened", "why so", "do this", context=context))
    assert isinstance(told, Failed)
    assert (told.code, told.what, told.why, told.fix) == ("RUN-006", "NEXT-001: what happened", "why so", "do this")
    assert told.context == {"run": "r"}


def test_python_explains_a_code_without_a_home(monkeypatch):
    monkeypatch.setenv("MAINSPRING_HOME", "/proc/nowhere")
    reason = ms.why("run-005")
    assert str(reason).startswith("RUN-005: a lease that was lost\n  why: ")
    assert reason.data["kind"] == "conflict"


def test_an_unknown_code_names_the_nearest():
    with pytest.raises(NotFound, match="HOME-009") as caught:
        ms.why("RUN-0055")
    assert caught.value.fix == "mainspring why RUN-005"


def test_the_fix_names_what_the_context_knows():
    assert Failed("RUN-008", "gone", run="c07e12").fix == "mainspring logs c07e12"
    assert Failed("RUN-008", "gone").fix == "mainspring logs RUN"
    assert Failed("RUN-008", "gone", run="c07e12", fix="look at RUN").fix == "look at RUN"
    gated = Conflict("GATE-003", "gated", model="delays", alias="champion")
    assert gated.fix == "mainspring promote delays champion --data DATASET"
    assert describe(Failed("RUN-006", "raised")).about(run="c07e12").fix == "mainspring logs c07e12"
    assert fill_places("NAMES and NAME", {"name": 7}) == "NAMES and NAME"
    assert doctest.testmod(errors).failed == 0


def list_errors(path):
    """Yield line, code and keywords of each error that a module makes."""
    for node in ast.walk(ast.parse(path.read_text())):
        first = node.args[0] if isinstance(node, ast.Call) and node.args else None
        if isinstance(first, ast.Constant) and first.value in ENTRIES:
            yield node.lineno, ENTRIES[first.value], {each.arg for each in node.keywords}


def test_no_error_leaves_a_place_of_its_fix_open():
    open_places = []
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if name in TOLD_LATER or name.partition("/")[0] in TOLD_LATER:
            continue
        for line, entry, given in list_errors(path):
            places = {each.lower() for each in re.findall(r"\b(?:ALIAS|MODEL|NAME|RUN|SERVICE)\b", entry.fix)}
            if "fix" not in given and places - given:
                open_places.append((f"{name}:{line}", entry.code, places - given))
    assert open_places == []
