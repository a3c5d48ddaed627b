"""From rows to a champion on a real home: register, gate on unseen rows, promote, refuse."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

import mainspring as ms
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.sdk.registering import ParityWarning

SEED = 5
FEATURES = ["shop", "weight", "count"]


def make_parcels(rows: int = 9_000, seed: int = SEED) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    shop = rng.choice(["north", "south", "east"], rows)
    weight, count = rng.gamma(2.0, 1.0, rows), rng.integers(0, 9, rows)
    chance = 1 / (1 + np.exp(2.5 - weight + (shop == "south") - count / 6))
    start = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    return pl.DataFrame(
        {
            "at": [start + timedelta(minutes=10 * number) for number in range(rows)],
            "shop": shop.tolist(),
            "weight": weight,
            "count": count,
            "late": rng.random(rows) < chance,
        }
    )


def fit(rows: pl.DataFrame, *, rounds: int = 30, labels: np.ndarray | None = None) -> Pipeline:
    steps = ColumnTransformer(
        [("text", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["shop"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    model = Pipeline([("encode", steps), ("model", HistGradientBoostingClassifier(max_iter=rounds, random_state=0))])
    return model.fit(rows.select(FEATURES), rows["late"].to_numpy() if labels is None else labels)


@pytest.fixture
def parts(client):
    """Past and recent parcels of a real home whose owner ends with the test."""
    return ms.write(make_parcels(), "parcels").split(by="at", last="14d")


GATE = ms.Gate(
    "delays", target="late", better=["auc"], not_worse={"log_loss": 0.01}, slices=["shop"], limits={"latency_ms": 50}
)


def test_the_first_model_beats_the_best_constant_and_shuffled_labels_are_refused(parts, capsys):
    past, recent = parts
    ms.apply(GATE)
    rows = past.polars()
    goal = ms.Goal("fewer late parcels", metric="log_loss", owner="ops@shop.example", target=0.5)
    honest = ms.register(fit(rows), "delays", example=past, goal=goal)
    details = honest.details
    assert details["format"] == "onnx"
    assert details["parity"]["passed"]
    assert details["parity"]["rows"] == past.rows
    assert details["trained_on"] == [past.reference]
    assert details["goal"]["owner"] == "ops@shop.example"
    assert honest.version.inputs == (past.version.id,)
    verdict = ms.promote(honest, "champion", data=recent)
    assert verdict, verdict.summary
    assert capsys.readouterr().out.startswith("PASSED  delays@1 for champion: auc +0.")
    assert verdict.evidence["champion"] == "the best constant"
    assert ms.Model("delays@champion").reference == "delays@1"
    assert ms.promote(honest, "champion", data=recent).id == verdict.id

    shuffled = fit(rows, labels=np.random.default_rng(SEED).permutation(rows["late"].to_numpy()))
    refused = ms.promote(ms.register(shuffled, "delays", example=past), "champion", data=recent)
    assert not refused
    assert "not better" in refused.summary
    assert refused.champion == "delays@1"
    assert capsys.readouterr().out.splitlines()[-1].startswith("REFUSED  delays@2 for champion: auc -0.")
    assert ms.Model("delays@champion").reference == "delays@1"
    assert "REFUSED" in str(ms.why("delays@2"))
    assert "fewer late parcels" in honest.card


def test_a_handle_answers_as_the_object_does(parts):
    past, recent = parts
    model = fit(past.polars())
    handle = ms.register(model, "delays", example=past)
    rows = recent.polars()
    answers = ms.Model("delays").predict(rows)
    assert answers.columns == ["label", "probability"]
    assert np.abs(answers["probability"].to_numpy() - model.predict_proba(rows.select(FEATURES))[:, 1]).max() <= 1e-5
    assert handle.predict([{"shop": "nowhere", "weight": None, "count": 1}])["probability"].is_between(0, 1).all()
    assert isinstance(handle.load(), Pipeline)
    scores = handle.evaluate(recent, "late", slices=["shop"])
    assert scores["slice"].to_list() == ["all", "shop=east", "shop=north", "shop=south"]
    assert scores["rows"][0] == recent.rows == scores["rows"][1:].sum()
    assert 0.6 < scores["auc"][0] < 1
    assert ms.register(model, "delays", example=past).reference == handle.reference
    assert handle.__mainspring_digest__() == ms.Model("delays@1").__mainspring_digest__()
    with pytest.raises(Invalid) as caught:
        handle.predict(rows.drop("weight"))
    assert caught.value.code == "MODEL-005"


def test_lineage_is_what_the_tree_of_the_run_has_read(parts, client):
    past, recent = parts

    @ms.step
    def train(rows: ms.Dataset, rounds: int = 7) -> Pipeline:
        return fit(rows.polars(), rounds=rounds)

    @ms.pipeline
    def make(rows: ms.Dataset) -> ms.Model:
        return ms.register(train(rows), "delays", example=rows.head(3))

    for state in ("fresh", "hit"):
        details = make(past).details
        assert details["trained_on"] == [past.reference], state
        assert details["parity"]["rows"] == past.rows
        assert details["params"]["rounds"] == 7
        assert details["code"]["fingerprint"]
        assert details["made_by"]
    with pytest.raises(Invalid) as caught:
        ms.promote("delays", "champion", data=past)
    assert caught.value.code == "GATE-012"
    assert ms.promote("delays", "champion", data=recent).summary == "no gate is declared"


def test_a_script_that_runs_again_does_not_move_an_alias_back(parts):
    past, recent = parts
    rows = past.polars()
    first, second = (ms.register(fit(rows, rounds=rounds), "delays", example=past) for rounds in (5, 30))
    verdict = ms.promote(first, "champion", data=recent)
    assert verdict
    assert ms.promote(second, "champion", data=recent)
    assert ms.promote(first, "champion", data=recent).id == verdict.id
    assert ms.Model("delays@champion").reference == second.reference
    later = ms.write(make_parcels(2_000, seed=SEED + 1), "later")
    assert ms.promote(first, "champion", data=later).id != verdict.id
    assert ms.Model("delays@champion").reference == first.reference


def test_what_cannot_be_judged_says_so(parts, client):
    past, recent = parts
    model = ms.register(fit(past.polars(), rounds=3), "delays", example=past)
    few = ms.write(make_parcels(300, seed=9), "few")
    bare = ms.write(make_parcels(2_000, seed=10).drop("late"), "bare")
    thin = ms.write(make_parcels(2_000, seed=11).drop("weight"), "thin")
    ms.apply(GATE)
    for data, code, what in (
        (few, "GATE-005", "300 rows have a label"),
        (bare, "GATE-002", "no column 'late'"),
        (thin, "MODEL-005", "'weight' is missing"),
    ):
        with pytest.raises(Invalid, match=what) as caught:
            ms.promote(model, "champion", data=data)
        assert caught.value.code == code
    for arguments in (("none", recent), (model, "none")):
        with pytest.raises(NotFound):
            ms.promote(arguments[0], "champion", data=arguments[1])
    with pytest.raises(NotFound):
        ms.Model("delays@champion").version  # noqa: B018
    from mainspring.domain.messages import MoveAlias

    with pytest.raises(Conflict) as refused:
        client.ask(MoveAlias(kind="model", name="delays", alias="champion", number=1))
    assert refused.value.code == "GATE-003"


def test_a_model_that_fails_parity_warns_and_is_still_judged(parts):
    past, recent = parts
    rows = past.polars().with_columns(at=pl.col("at").dt.epoch("s").cast(pl.Float64) / 3.0)
    forest = RandomForestClassifier(20, max_depth=8, random_state=0).fit(
        rows.select("at", "weight"), rows["late"].to_numpy()
    )
    with pytest.warns(ParityWarning, match=r"MODEL-003: clock keeps its native form \(sklearn\) only"):
        model = ms.register(forest, "clock", example=rows)
    assert not model.details["parity"]["passed"]
    assert "model.onnx" not in model.version.manifest
    judged = ms.write(recent.polars().with_columns(at=pl.col("at").dt.epoch("s").cast(pl.Float64) / 3.0), "clocked")
    ms.apply(ms.Gate("clock", target="late", tests=["auc >= 0.5"]))
    verdict = ms.promote(model, "champion", data=judged)
    assert verdict, verdict.summary
    assert verdict.evidence["form"] == "sklearn"


class Rule:
    """A user's own class, which no flavor knows."""

    def predict(self, rows):
        return rows["weight"].to_numpy() * 0.1


def test_code_is_kept_only_when_it_is_allowed(parts):
    past, _ = parts
    example = past.polars().select("weight", "count")
    with pytest.raises(Invalid) as caught:
        ms.register(Rule(), "rule", example=example)
    assert caught.value.code == "MODEL-002"
    assert "allow_code=True" in caught.value.fix
    model = ms.register(Rule(), "rule", example=example, allow_code=True)
    assert model.details["format"] == "sealed"
    assert model.predict({"weight": [2.0], "count": [1]})["value"][0] == pytest.approx(0.2)
    from mainspring.models.runtime import load_predictor

    with pytest.raises(PermissionError, match="MODEL-013"):
        load_predictor(model.files)


@pytest.mark.parametrize("change", [{"text": " "}, {"metric": ""}, {"owner": ""}])
def test_a_goal_needs_its_words(change):
    with pytest.raises(Invalid) as caught:
        ms.Goal(**{"text": "why", "metric": "auc", "owner": "ops", **change})
    assert caught.value.code == "MODEL-012"


def test_a_gate_is_inert_and_checked_when_it_is_made():
    assert GATE.declaration().name == "delays->champion"
    with pytest.raises(Invalid, match="no metric is called 'gini'"):
        ms.Gate("delays", target="late", better=["gini"])


def test_models_and_gates_load_nothing_heavy():
    script = (
        "import sys, mainspring as ms\n"
        "ms.Gate('a', target='b', better=['auc']), ms.Model('a@1'), ms.Goal('x', 'auc', 'me')\n"
        "ms.register, ms.promote\n"
        "heavy = {'numpy', 'polars', 'sklearn', 'onnx', 'onnxruntime', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
