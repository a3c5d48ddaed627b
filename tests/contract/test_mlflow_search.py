"""Runs as MLflow's clients search them, in both dialects: the same that MLflow's own store finds, page by page."""

import json
import math
import random
import subprocess
from pathlib import Path

import pytest

from mainspring.domain import experiments as told
from mainspring.domain.errors import Invalid
from mainspring.domain.searches import FindRuns, ReadHistory, SampleHistories

PROGRAM = Path(__file__).parents[1] / "support" / "mlflow_filters.py"
SEED = 20261121
FAR = 1.7976931348623157e308
VIEWS = {1: "active", 2: "deleted", 3: "all"}
STATES = {"RUNNING": "running", "FINISHED": "succeeded", "FAILED": "failed", "KILLED": "cancelled"}


def make_runs(source, count):
    """Runs with few different values, so that every comparison finds some and ties are many."""
    return [
        {
            "name": source.choice(["Anna", "anna", "a%b", "a_b", "bob[1]", "*"]) + f"-{number}",
            "start_time": 1_700_000_000_000 + source.randrange(5),
            "end_time": 1_700_000_100_000 + source.randrange(3),
            "status": source.choice([*STATES]),
            "deleted": source.random() < 0.2,
            "params": {key: source.choice(["1", "10", "x", "X", "x_y", "x%", ""]) for key in pick(source, "abc")},
            "tags": {key: source.choice(["north", "North", "s[1]", "a*b", "é"]) for key in pick(source, "ts")},
            "points": [
                [key, source.randrange(2), 1_700_000_000_000 + source.randrange(2), value]
                for key in pick(source, "mn")
                for value in source.choices([0.0, 0.5, -1.0, FAR, -FAR, "nan"], k=2)
            ],
            "datasets": [
                [source.choice(["flights", "Flights"]), source.choice("de"), source.choice(["training", "test"])]
                for _ in range(source.randrange(2))
            ],
        }
        for number in range(count)
    ]


def pick(source, keys):
    return [key for key in keys if source.random() < 0.7]


CLAUSES = [
    *(
        f"metrics.{key} {sign} {value}"
        for key in "mn"
        for sign in ("=", "!=", "<", "<=", ">", ">=")
        for value in (0, 0.5)
    ),
    *(f"params.{key} {sign} '{value}'" for key in "ab" for sign in ("=", "!=") for value in ("x", "10", "")),
    *(
        f"params.{key} {sign} '{value}'"
        for key in "ab"
        for sign in ("LIKE", "ILIKE")
        for value in ("x%", "X", "_", "%")
    ),
    *(
        f"tags.{key} {sign} '{value}'"
        for key in "ts"
        for sign in ("LIKE", "ILIKE")
        for value in ("n%", "s[1]", "a*b", "%É")
    ),
    *(f"{name} {sign}" for name in ("params.c", "tags.t", "tags.none") for sign in ("IS NULL", "IS NOT NULL")),
    *(f"run_name {sign} '{value}'" for sign in ("LIKE", "ILIKE") for value in ("anna%", "a\\%", "%[1]%", "*%", "a%b%")),
    *(f"status {sign} '{value}'" for sign in ("=", "!=") for value in ("FINISHED", "RUNNING", "nothing")),
    "status LIKE 'F%'",
    "status ILIKE 'f%'",
    "user_id = 'anna'",
    "user_id != 'anna'",
    "start_time > 1700000000002",
    "attributes.start_time = 1700000000001",
    "attr.created <= 1700000000003.5",
    "end_time >= 1700000100001",
    "end_time != 1700000100001",
    "run_id IN ('none', 'nothing')",
    "run_id NOT IN ('none')",
    "run_id != 'none'",
    "dataset.name = 'flights'",
    "datasets.name ILIKE 'FLIGHTS'",
    "dataset.digest IN ('d', 'x')",
    "dataset.digest NOT IN ('d')",
    "dataset.context = 'training'",
    "dataset.context LIKE 't%t%'",
    "metrics.none > 0",
]
ORDERS = [f"{name} {way}" for way in ("ASC", "DESC") for name in ("metrics.m", "metrics.n", "params.a", "tags.t")]
ORDERS += ["start_time", "start_time DESC", "end_time ASC", "end_time DESC", "status", "run_name DESC", "metrics.none"]


def make_searches(source, count):
    return [
        [
            " AND ".join(source.sample(CLAUSES, source.choice([0, 1, 1, 2]))),
            source.sample(ORDERS, source.choice([0, 1, 2, 3])),
            source.choice([1, 1, 2, 3]),
        ]
        for _ in range(count)
    ]


def fill(desk, made):
    """Tell the record of the same runs; return their ids."""
    names = {}
    for run in made:
        tags = {**run["tags"], "mlflow.user": "anna"}
        opened = desk.ask(told.OpenRun(name=run["name"], tags=tags, started_at=run["start_time"] / 1000)).run
        names[opened.id] = run["name"]
        points = [(key, step, time / 1000, float(value)) for key, step, time, value in run["points"]]
        desk.ask(told.LogBatch(run_id=opened.id, points=points, params=run["params"]))
        inputs = [
            told.DatasetInput(name, digest, "local", "x", tags={"mlflow.data.context": context})
            for name, digest, context in run["datasets"]
        ]
        desk.ask(told.LogInputs(run_id=opened.id, datasets=inputs))
        if run["status"] != "RUNNING":
            state, ended_at = STATES[run["status"]], run["end_time"] / 1000
            desk.ask(told.SetRun(run_id=opened.id, state=state, ended_at=ended_at))
        if run["deleted"]:
            desk.ask(told.HideRun(run_id=opened.id))
    return names


def ask_mlflow(python, asked):
    done = subprocess.run(
        [python, PROGRAM], input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def theirs(mlflow_python):
    """The runs, the searches, and what MLflow's own store finds."""
    source = random.Random(SEED)
    print("seed", SEED)
    made, searches = make_runs(source, 60), make_searches(source, 300)
    # Runs that begin at once come in order of their ids, which are random: such ties are taken out.
    for number, run in enumerate(made):
        run["start_time"] += number * 10
    return made, searches, ask_mlflow(mlflow_python, {"runs": made, "searches": searches})


def read_all(desk, command, ids):
    found = []
    while True:
        page = desk.ask(command)
        found += [ids[run.id] for run in page.runs]
        if page.next is None:
            return found
        command = FindRuns(
            **{**{name: getattr(command, name) for name in command.__struct_fields__}, "page": page.next}
        )


def test_the_same_runs_are_found_as_in_mlflow(desk, theirs):
    made, searches, answers = theirs
    ids = fill(desk, made)
    wrong, found_any = [], 0
    for (text, order, view), answer in zip(searches, answers, strict=True):
        command = FindRuns(experiments=(0,), filter=text, order_by=tuple(order), shown=VIEWS[view], limit=7)
        try:
            found = read_all(desk, command, ids)
        except Invalid as fault:
            if not isinstance(answer, str):
                wrong.append((text, order, view, fault.what, answer))
            continue
        found_any += bool(found)
        if found != answer:
            wrong.append((text, order, view, found, answer))
    assert not wrong, f"{len(wrong)} of {len(searches)} differ, such as " + "\n".join(map(repr, wrong[:8]))
    assert found_any > len(searches) / 3


def test_a_page_of_another_search_is_refused(desk):
    fill(desk, make_runs(random.Random(1), 6))
    page = desk.ask(FindRuns(experiments=(0,), limit=2, shown="all")).next
    for other in (
        {"filter": "params.a = 'x'"},
        {"order_by": ("metrics.m",)},
        {"shown": "active"},
        {"experiments": (0, 1), "shown": "all", "filter": "status = 'RUNNING'"},
    ):
        with pytest.raises(Invalid) as caught:
            desk.ask(FindRuns(**{"experiments": (0,), "shown": "all", "page": page, **other}))
        assert caught.value.code == "RUN-013"
        assert "another filter, order or project" in caught.value.what
    with pytest.raises(Invalid) as caught:
        desk.ask(FindRuns(experiments=(0,), page="bm9uc2Vuc2U"))
    assert caught.value.code == "RUN-013"


def test_runs_are_found_with_all_that_was_logged_of_them(desk):
    (made,) = make_runs(random.Random(3), 1)
    made |= {"deleted": False, "points": [["m", 1, 1000, 0.5], ["m", 0, 1000, 9.0], ["nan", 0, 1000, "nan"]]}
    made["datasets"] = [["flights", "d", "training"]]
    (run_id,) = fill(desk, [made])
    (found,) = desk.ask(FindRuns(experiments=(0,))).runs
    assert (found.id, found.name, json.loads(found.params)) == (run_id, made["name"], made["params"])
    assert [repr(each) for each in sorted(found.latest)] == ["('m', 1, 1.0, 0.5)", "('nan', 0, 1.0, nan)"]
    assert [(each.name, each.tags) for each in found.datasets] == [("flights", {"mlflow.data.context": "training"})]
    assert desk.ask(FindRuns(experiments=(7,))).runs == []


def open_series(desk, points):
    run = desk.ask(told.OpenRun(name="fit")).run
    desk.ask(told.LogBatch(run_id=run.id, points=points))
    return run.id


@pytest.mark.parametrize("by_step", [True, False])
def test_a_history_in_pages_is_the_whole_history(desk, by_step):
    source = random.Random(SEED)
    values = [0.0, -1.5, math.inf, -math.inf, math.nan]
    points = [("loss", source.randrange(20), float(source.randrange(5)), source.choice(values)) for _ in range(200)]
    run_id = open_series(desk, points)
    whole = desk.ask(ReadHistory(run_id=run_id, key="loss", by_step=by_step))
    assert whole.next is None
    assert {repr(each) for each in whole.points} == {repr(each[1:]) for each in points}
    order = (lambda point: point[:2]) if by_step else (lambda point: point[1::-1])
    assert whole.points == sorted(whole.points, key=order)
    found, page = [], ""
    while page is not None:
        answer = desk.ask(ReadHistory(run_id=run_id, key="loss", by_step=by_step, limit=7, page=page))
        found, page = found + answer.points, answer.next
    assert repr(found) == repr(whole.points)


@pytest.mark.parametrize("most", [1, 2, 7, 50, 99, 100, 101])
def test_a_sample_is_even_and_keeps_both_ends(desk, most):
    run_id = open_series(desk, [("loss", step // 3, float(step), step / 7) for step in range(100)])
    whole = desk.ask(ReadHistory(run_id=run_id, key="loss", by_step=True)).points
    (found,) = desk.ask(SampleHistories(run_ids=(run_id,), key="loss", most=most))
    length, longer = divmod(100, most)
    starts = [part * length + min(part, longer) for part in range(min(most, 100))] if most < 100 else range(100)
    wanted = [whole[start] for start in starts]
    wanted[-1] = whole[-1]
    assert found == wanted
    (found,) = desk.ask(SampleHistories(run_ids=(run_id,), key="loss", most=most, first_step=10, last_step=12))
    assert {step for step, _, _ in found} <= {10, 11, 12}
    assert len(found) == min(most, 9)
    assert desk.ask(SampleHistories(run_ids=(run_id,), key="none", most=most)) == [[]]
