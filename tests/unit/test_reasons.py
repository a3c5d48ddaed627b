"""Two fingerprints say why a step ran."""

from mainspring.domain.records import Fingerprint
from mainspring.pipelines.reasons import explain


def make(code=None, inputs=None, environment=None, version=1):
    return Fingerprint(version, {"f.py:fit()": "a", **(code or {})}, inputs or {}, environment or {})


def test_the_first_run():
    assert explain(None, make()) == "first run of fit"
    assert explain(None, make(), name="train") == "first run of train"


def test_nothing_changed():
    assert explain(make(), make(), since="0123456789abcdef") == "cached: nothing changed since run abcdef"
    assert explain(make(), make(), unusable="its result is gone") == "ran again: its result is gone"


def test_code():
    assert explain(make(), Fingerprint(1, {"f.py:fit()": "b"}, {}, {})) == "ran again: fit() of f.py changed"
    helper = {"g/h.py:clean()": "1"}
    assert explain(make(helper), make({"g/h.py:clean()": "2"})) == "ran again: helper clean() of g/h.py changed"
    assert explain(make(helper), make()) == "ran again: helper clean() of g/h.py is no longer used"
    assert explain(make(), make(helper)) == "ran again: helper clean() of g/h.py is new"
    assert explain(make({"f.py:class A": "1"}), make({"f.py:class A": "2"})) == "ran again: class A of f.py changed"
    assert (
        explain(make({"f.py:RATE": "=1"}), make({"f.py:RATE": "=2"}))
        == "ran again: constant RATE of f.py changed 1 -> 2"
    )
    assert explain(make({"g.py": "1"}), make({"g.py": "2"})) == "ran again: module g.py changed"


def test_inputs_and_environment():
    old = make(inputs={"rows": "DataFrame:1", "rate": "=0.1"}, environment={"polars": "1.0"})
    new = make(inputs={"rows": "DataFrame:2", "rate": "=0.2"}, environment={"polars": "2.0"})
    assert explain(old, new) == (
        "ran again: input rows changed, parameter rate 0.1 -> 0.2, environment: polars 1.0 -> 2.0"
    )


def test_many_differences_are_counted():
    old = make(inputs={f"i{n}": "=1" for n in range(5)})
    new = make(inputs={f"i{n}": "=2" for n in range(5)})
    assert explain(old, new).endswith("parameter i2 1 -> 2, 2 more")


def test_another_version_of_the_rules_says_only_that():
    assert "rules of cache keys changed (version 1 -> 2)" in explain(make(), make(version=2, inputs={"x": "=1"}))
