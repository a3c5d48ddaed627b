"""Filters of MLflow's clients: read as MLflow reads them, refused where it refuses, with the place of the fault."""

import json
import math
import random
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.domain.conditions import Condition, holds, match_like, parse_conditions, parse_orders
from mainspring.domain.errors import Invalid
from mainspring.domain.grammars import EXPERIMENTS, LOGGED_MODELS, MODEL_VERSIONS, REGISTERED_MODELS, RUNS

PROGRAM = Path(__file__).parents[1] / "support" / "mlflow_filters.py"
GRAMMARS = {"runs": RUNS, "experiments": EXPERIMENTS, "versions": MODEL_VERSIONS}
SEED = 20261121
TEXTS = 2500

HEADS = {
    "runs": [
        *("metrics", "metric", "params", "param", "parameters", "parameter", "tags", "tag"),
        *("attributes", "attribute", "attr", "run", "datasets", "dataset", "Metrics", "nothing"),
    ],
    "experiments": ["attribute", "tag", "tags", "attributes", "metrics"],
    "versions": ["attribute", "tag", "tags", "params"],
}
ATTRIBUTES = {
    "runs": ["run_id", "run_name", "status", "start_time", "end_time", "user_id", "artifact_uri", "created", "colour"],
    "experiments": ["name", "experiment_id", "creation_time", "last_update_time", "colour"],
    "versions": ["name", "version_number", "run_id", "source_path", "creation_timestamp"],
}
KEYS = [
    "loss",
    "a_b",
    "a.b",
    "a1",
    "`a b`",
    '"a b"',
    "`x/y`",
    '"mlflow.user"',
    "mlflow.user",
    "_x",
    "a-b",
    "name",
    "'q'",
]
KEYS += ["digest", "context", "`run name`", '"Run Name"', "Created", "order", "key", "value", "count", "end"]
SIGNS = ["=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "like", "ilike", "==", "<>", "NOT LIKE", "RLIKE"]
VALUES = [
    "1",
    "-1",
    "0.5",
    ".5",
    "5.",
    "-0.25",
    "1e5",
    "1E-3",
    "'x'",
    '"x"',
    "'a''b'",
    "'%a_'",
    "abc",
    "`x`",
    "0x1F",
    "+1",
]
VALUES += ["'1'", "'a b'", "''", "1.5e3", "'RUNNING'", "1 2", "null"]
LISTS = ["('a')", "('a', 'b')", '("a")', "('a','b',)", "()", "(1)", "('a', 1)", "('1', '2')", "'a'"]


def make_condition(source, language):
    head, attributes = source.choice(HEADS[language]), ATTRIBUTES[language]
    key = source.choice(KEYS)
    if source.random() < 0.4:
        key = source.choice(attributes)
        name = key if source.random() < 0.5 else f"{source.choice(['attributes', 'attribute', head])}.{key}"
    else:
        name = f"{head}.{key}"
    drawn = source.random()
    if drawn < 0.12:
        return f"{name} {source.choice(['IN', 'in', 'NOT IN'])} {source.choice(LISTS)}"
    if drawn < 0.22:
        return f"{name} {source.choice(['IS NULL', 'is null', 'IS NOT NULL'])}"
    gap = source.choice([" ", " ", "  ", ""])
    sign = source.choice(SIGNS)
    if sign[0].isalpha():
        gap = " "
    return f"{name}{gap}{sign}{gap}{source.choice(VALUES)}"


def make_filter(source, language):
    """A filter as people write it, or nearly so."""
    parts = [make_condition(source, language) for _ in range(source.choice([1, 1, 1, 2, 3]))]
    text = source.choice([" AND ", " and ", "  AND "]).join(parts)
    drawn = source.random()
    if drawn < 0.04:
        text = f"({text})"
    elif drawn < 0.07:
        text = text.replace(" AND ", " OR ")
    elif drawn < 0.10:
        text = text[: source.randrange(len(text))]
    elif drawn < 0.12:
        text += source.choice([";", " ,", " x", " %"])
    return text


def make_order(source):
    key = source.choice(ATTRIBUTES["runs"] + [f"{head}.{key}" for head in HEADS["runs"] for key in KEYS])
    return key + source.choice(["", "", " ASC", " DESC", " desc", " asc", " DOWN", "  DESC", " DESC NULLS", ", x"])


def ask_mlflow(python, asked):
    done = subprocess.run(
        [python, PROGRAM], input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def read(language, text):
    try:
        if language == "order":
            (order,) = parse_orders([text], RUNS)
            return True, [order.kind, order.key, order.descending]
        found = parse_conditions(text, GRAMMARS[language])
    except Invalid as fault:
        return False, f"{fault.code} {fault.what}"
    return True, [[each.kind, each.key, each.sign, unpack(each.value)] for each in found]


def unpack(value):
    return list(value) if isinstance(value, tuple) else value


KNOWN = re.compile(r"\bAND\s*$", re.IGNORECASE)
"""MLflow takes a filter that ends in the middle, by an AND with nothing after it."""


def test_filters_are_taken_and_refused_as_mlflow_does(mlflow_python):
    source = random.Random(SEED)
    print("seed", SEED)
    texts = {language: [make_filter(source, language) for _ in range(TEXTS)] for language in GRAMMARS}
    texts["order"] = [make_order(source) for _ in range(TEXTS)]
    told = ask_mlflow(mlflow_python, {"parse": texts})
    taken, wrong = 0, []
    for language, asked in texts.items():
        for text, (theirs, meant) in zip(asked, told[language], strict=True):
            ours, found = read(language, text)
            taken += ours
            if KNOWN.search(text):
                continue
            if ours != theirs or (ours and json.loads(json.dumps(found)) != meant):
                wrong.append((language, text, (ours, found), (theirs, meant)))
    assert not wrong, f"{len(wrong)} differ, such as " + "\n".join(map(repr, wrong[:40]))
    assert taken > TEXTS / 3, "too few are taken to prove anything"


FAULTS = {
    "metrics.loss <": (RUNS, 15, "Expected numeric value type for metric. Found "),
    "metrics.loss < 1 AND": (RUNS, 21, "Expected 'Identifier'"),
    "metrics.loss < 1 OR params.a = 'x'": (RUNS, 18, "Invalid clause(s) in filter string: 'OR'"),
    "(metrics.loss < 1)": (RUNS, 1, "Expected 'Identifier' found '('"),
    "metrik.loss < 1": (RUNS, 1, "Invalid entity type 'metrik'"),
    "colour = 'red'": (RUNS, 1, "Invalid attribute key 'colour' specified"),
    "dataset.size = 'x'": (RUNS, 1, "Invalid dataset key 'size' specified"),
    "metrics.loss LIKE 'x'": (RUNS, 14, "Invalid comparator 'LIKE' for metric 'loss'"),
    "params.a = x": (RUNS, 12, "not quoted"),
    "params.a = 1": (RUNS, 12, "Expected a quoted string value for parameter"),
    "params.a = 'x": (RUNS, 12, "Invalid clause(s) in filter string"),
    "run_id IN ()": (RUNS, 12, "expected a non-empty list of string values"),
    "run_id IN ('a'": (RUNS, 15, "expected a non-empty list of string values"),
    "tags.a IS 1": (RUNS, 11, "Expected NULL"),
    "metrics.a IS NULL": (RUNS, 11, "Invalid comparator 'IS NULL'"),
    "experiment_id = 'x'": (EXPERIMENTS, 17, "Invalid value for numeric attribute 'experiment_id'"),
    "creation_time > 1.5": (EXPERIMENTS, 17, "Invalid value for numeric attribute 'creation_time'"),
    "version_number = 'x'": (MODEL_VERSIONS, 18, "Invalid value for numeric attribute"),
    "params.a = 'x'": (REGISTERED_MODELS, 1, "Invalid entity type 'params'"),
    "metrics.loss ~ 1": (LOGGED_MODELS, 14, "Invalid comparator '~'"),
}


@pytest.mark.parametrize("text", FAULTS)
def test_every_refusal_says_where_the_fault_is(text):
    grammar, place, what = FAULTS[text]
    with pytest.raises(Invalid) as caught:
        parse_conditions(text, grammar)
    assert caught.value.code == "RUN-014"
    assert what in caught.value.what
    assert f"(at character {place} of the filter string)" in caught.value.what
    assert caught.value.context["position"] == place - 1


@pytest.mark.parametrize("text", ["x" * 100_001, " AND ".join(["metrics.a > 1"] * 101)])
def test_what_is_too_long_is_refused(text):
    with pytest.raises(Invalid, match="RUN-014"):
        parse_conditions(text, RUNS)


@given(st.text(max_size=60))
def test_no_text_makes_the_parser_fail_otherwise(text):
    for grammar in (RUNS, EXPERIMENTS, LOGGED_MODELS):
        try:
            parse_conditions(text, grammar)
            parse_orders([text], grammar)
        except Invalid as fault:
            assert fault.code == "RUN-014"  # noqa: PT017 - most texts are refused, some are not


letters = st.text("aAbé\n_%.[*", max_size=8)


@given(letters, letters, st.booleans())
def test_likeness_is_that_of_sqlite(pattern, text, folded):
    with closing(sqlite3.connect(":memory:")) as connection:
        if not folded:
            connection.execute("PRAGMA case_sensitive_like = ON")
        (like,) = connection.execute("SELECT ? LIKE ?", (text, pattern)).fetchone()
    assert match_like(pattern, text, folded=folded) is bool(like)


def test_what_small_lists_are_filtered_by_takes_nan_as_the_database_does():
    assert holds(Condition("metric", "m", "!=", 0.5), math.nan)
    assert not holds(Condition("metric", "m", ">", 0.5), math.nan)
    assert holds(Condition("attribute", "name", "NOT IN", ("a",)), "b")
    assert not holds(Condition("attribute", "name", "NOT IN", ("a",)), None)
