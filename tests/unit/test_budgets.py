"""Budgets of the benchmarks can only fall, and a figure over its own breaks the check."""

import json

import bench.__main__ as runner
from bench.budgets import find_breaches, read_budgets, tighten
from bench.figures import Figure
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.floats(0.001, 1e6)


def test_a_figure_over_its_budget_breaks_the_check(monkeypatch, tmp_path, capsys):
    path = tmp_path / "budgets.json"
    path.write_text(json.dumps({"Faces": {"import": 50}}))
    monkeypatch.setattr(runner, "read_budgets", lambda: read_budgets(path))
    for measured, code, said in (([49, 50, 51], 0, "all within budget"), ([50, 50.1, 60], 1, "import is 50.1")):
        monkeypatch.setitem(runner.TABLES, "Faces", lambda _, found=measured: [Figure("import", found, "ms", 60)])
        monkeypatch.setattr("sys.argv", ["bench", "--check", "--only", "Faces"])
        assert runner.main() == code
        assert said in capsys.readouterr().out


def test_what_has_a_budget_or_a_promise_must_be_measured_against_one():
    tables = {"Steps": [Figure("step", [1.0], "ms", 5), Figure("told", [9.0], "ms")]}
    assert find_breaches(tables, {}) == ["Steps: step is promised to be 5 and has no committed budget"]
    gone = find_breaches(tables, {"Steps": {"step": 5, "cached": 1}, "Owner": {"memory": 1}})
    assert gone == ["Steps: cached has a budget of 1 and was not measured"]


@given(known=st.none() | NUMBERS, promised=st.none() | NUMBERS, median=NUMBERS)
def test_tightening_never_loosens(known, promised, median):
    budgets = {} if known is None else {"Steps": {"step": known}}
    tightened = tighten(budgets, {"Steps": [Figure("step", [median], "ms", promised)]}).get("Steps", {})
    if known is None and promised is None:
        assert tightened == {}
    else:
        assert tightened["step"] <= min(each for each in (known, promised) if each is not None)
        assert tightened["step"] >= min(each for each in (known, promised, median) if each is not None)


def test_every_promise_has_a_committed_budget_that_keeps_it():
    budgets = read_budgets()
    assert {"step, inline", "step, cached", "step, isolated"} <= budgets["Steps"].keys()
    assert budgets["Steps"]["step, inline"] <= 5
    assert budgets["Steps"]["step, cached"] <= 1
    assert budgets["Steps"]["step, isolated"] <= 100
    assert budgets["Faces"]["mainspring --help"] <= 150
    assert budgets["Cold"]["cold script"] <= 0.35
