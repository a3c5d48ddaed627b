"""Every flavor keeps a model's answers: written, read back, and as ONNX."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import lightgbm
import msgspec
import numpy as np
import onnx
import polars as pl
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from mainspring.domain.errors import Invalid, Unavailable
from mainspring.models.adapters.lightgbm import LightgbmFlavor
from mainspring.models.adapters.onnx_graphs import OnnxFlavor
from mainspring.models.adapters.sklearn import SklearnFlavor
from mainspring.models.adapters.torch import TorchFlavor
from mainspring.models.adapters.xgboost import XgboostFlavor
from mainspring.models.columns import to_columns
from mainspring.models.flavors import find_flavor
from mainspring.models.package import build_package
from mainspring.models.runtime import load_predictor
from mainspring.models.signature import Signature
from mainspring.testing.flavors import FlavorContract

SEED = 20130101
TEXTS, NUMBERS = ["shop", "kind"], ["price", "weight", "count", "gift"]


def make_orders(rows: int = 4_000, seed: int = SEED) -> pl.DataFrame:
    """Float64 prices that no float32 holds, nulls in a category, an integer and a boolean."""
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "order_id": np.arange(rows),
            "shop": rng.choice(np.array(["north", "south", "east", None], dtype=object), rows).tolist(),
            "kind": rng.choice(["a", "b", "c", "d"], rows).tolist(),
            "price": rng.gamma(2.0, 30.0, rows) + 1.7e9,
            "weight": rng.normal(size=rows).astype(np.float32),
            "count": rng.integers(0, 9, rows),
            "gift": rng.random(rows) < 0.3,
        }
    ).with_columns(weight=pl.when(pl.Series(rng.random(rows) < 0.1)).then(None).otherwise(pl.col("weight")))
    risk = (pl.col("price") % 7 < 3).cast(pl.Float64) + (pl.col("shop") == "north").fill_null(value=False)
    noisy = frame.select(risk + pl.col("count") / 9 + pl.Series(rng.normal(0, 0.4, rows))).to_series()
    return frame.with_columns(late=noisy > 1.2, size=noisy.abs())


def make_steps(encoder: object, numbers: list[str] = NUMBERS) -> ColumnTransformer:
    return ColumnTransformer(
        [("texts", encoder, TEXTS), ("numbers", "passthrough", numbers)], verbose_feature_names_out=False
    )


def encode(unknown: float = -1) -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=unknown)


def fit_pipeline(estimator: object, target: str = "late", encoder: object | None = None, **options: object) -> Pipeline:
    rows = make_orders()
    pipeline = Pipeline([("encode", make_steps(encoder or encode(), **options)), ("model", estimator)])
    truth = rows[target].to_numpy()
    return pipeline.fit(rows.select(TEXTS + NUMBERS), truth)


MODELS = {
    "boosting": lambda: fit_pipeline(HistGradientBoostingClassifier(max_iter=20, random_state=0)),
    "boosting, unknown is NaN": lambda: fit_pipeline(
        HistGradientBoostingClassifier(max_iter=10, random_state=0), encoder=encode(np.nan)
    ),
    "boosting, four text classes": lambda: fit_pipeline(HistGradientBoostingClassifier(max_iter=5), "kind"),
    "boosted regression": lambda: fit_pipeline(HistGradientBoostingRegressor(max_iter=10), "size"),
    "boosted counts": lambda: fit_pipeline(HistGradientBoostingRegressor(loss="poisson", max_iter=10), "size"),
    "LightGBM in a pipeline": lambda: fit_pipeline(lightgbm.LGBMClassifier(n_estimators=20, verbose=-1)),
    "XGBoost in a pipeline": lambda: fit_pipeline(xgboost.XGBClassifier(n_estimators=20)),
    "linear": lambda: fit_pipeline(
        make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
        encoder=OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        numbers=["weight", "count", "gift"],
    ),
}


@cache
def fit_boosting() -> Pipeline:
    return MODELS["boosting"]()


@cache
def fit_lightgbm() -> lightgbm.LGBMClassifier:
    rows = make_orders()
    matrix = rows.select("price", "weight", "count").to_numpy()
    model = lightgbm.LGBMClassifier(n_estimators=15, verbose=-1, random_state=0)
    return model.fit(matrix, rows["late"].cast(pl.Int64).to_numpy())


@cache
def fit_xgboost() -> xgboost.XGBClassifier:
    rows = make_orders()
    matrix = rows.select("price", "weight", "count").to_numpy()
    return xgboost.XGBClassifier(n_estimators=15, random_state=0).fit(matrix, rows["late"].cast(pl.Int64).to_numpy())


class TestSklearn(FlavorContract):
    @pytest.fixture
    def flavor(self):
        return SklearnFlavor()

    @pytest.fixture
    def model(self):
        return fit_boosting()

    @pytest.fixture
    def rows(self):
        return make_orders(500, seed=3)


class TestLightgbm(FlavorContract):
    @pytest.fixture
    def flavor(self):
        return LightgbmFlavor()

    @pytest.fixture
    def model(self):
        return fit_lightgbm()

    @pytest.fixture
    def rows(self):
        return make_orders(500, seed=3).select("price", "weight", "count")


class TestXgboost(FlavorContract):
    @pytest.fixture
    def flavor(self):
        return XgboostFlavor()

    @pytest.fixture
    def model(self):
        return fit_xgboost()

    @pytest.fixture
    def rows(self):
        return make_orders(500, seed=3).select("price", "weight", "count")


@cache
def make_graph() -> onnx.ModelProto:
    """A graph that another tool has written: one matrix, a label and probabilities."""
    rows = make_orders().select("price", "weight", "count").fill_null(0.0)
    model = LogisticRegression().fit(
        rows.with_columns(pl.col("price") - 1.7e9).to_numpy(), make_orders()["late"].to_numpy()
    )
    from skl2onnx import to_onnx

    return to_onnx(model, rows.to_numpy()[:1].astype(np.float32), options={"zipmap": False}, target_opset=18)


class TestOnnx(FlavorContract):
    @pytest.fixture
    def flavor(self):
        return OnnxFlavor()

    @pytest.fixture
    def model(self):
        return make_graph()

    @pytest.fixture
    def rows(self):
        return make_orders(500, seed=3).select("price", "weight", "count").fill_null(0.0)


@pytest.mark.parametrize("name", MODELS)
def test_onnx_gives_the_models_answers(name: str) -> None:
    package = build_package(MODELS[name](), make_orders(10_000, seed=7))
    assert package.parity.passed, str(package.parity)
    assert package.format == "onnx"
    assert package.parity.rows == 10_000
    assert package.parity.nan_rows > 0
    assert package.parity.unseen_rows > 0
    assert package.parity.label_mismatches == 0
    assert package.parity.max_abs_dp <= 1e-5
    assert package.size_bytes == len(package.files["model.onnx"])
    assert (b"lightgbm==" in package.files["requirements.txt"]) == ("LightGBM" in name)
    assert (b"xgboost" in package.files["requirements.txt"]) == ("XGBoost" in name)
    assert package.latency_ms > 0


@pytest.mark.parametrize("kind", ["classifier", "three classes", "regressor", "booster", "sigmoid 2"])
def test_bare_lightgbm_is_kept_as_text_and_as_onnx(kind: str) -> None:
    rows = make_orders()
    matrix = rows.select("price", "weight", "count").to_numpy()
    options = {"n_estimators": 15, "verbose": -1, "random_state": 0}
    if kind == "booster":
        model = lightgbm.train(
            {"objective": "binary", "verbose": -1},
            lightgbm.Dataset(matrix, rows["late"].to_numpy()),
            num_boost_round=15,
        )
    elif kind == "regressor":
        model = lightgbm.LGBMRegressor(**options).fit(matrix, rows["size"].to_numpy())
    elif kind == "three classes":
        model = lightgbm.LGBMClassifier(**options).fit(matrix, rows["count"].to_numpy() % 3)
    else:
        sigmoid = 2.0 if kind == "sigmoid 2" else 1.0
        model = lightgbm.LGBMClassifier(sigmoid=sigmoid, **options).fit(matrix, rows["late"].cast(pl.Int64).to_numpy())
    package = build_package(model, make_orders(10_000, seed=7).select("price", "weight", "count"))
    assert package.parity.passed, str(package.parity)
    assert set(package.files) >= {"model.lgb.txt", "model.onnx", "signature.json", "example.json", "MLmodel"}


XGBOOST = {
    "two classes": ({"objective": "binary:logistic"}, "late"),
    "three classes": ({"objective": "multi:softprob", "num_class": 3}, "third"),
    "labels only": ({"objective": "multi:softmax", "num_class": 3}, "third"),
    "hinge": ({"objective": "binary:hinge"}, "late"),
    "raw sums": ({"objective": "binary:logitraw"}, "late"),
    "a share": ({"objective": "reg:logistic", "base_score": 0.2}, "late"),
    "a value": ({"objective": "reg:squarederror"}, "size"),
    "a median": ({"objective": "reg:absoluteerror"}, "size"),
    "counts": ({"objective": "count:poisson"}, "count"),
    "sizes": ({"objective": "reg:gamma", "base_score": 2.5}, "size"),
    "dart": ({"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.5}, "late"),
    "forest": (
        {"objective": "binary:logistic", "num_parallel_tree": 4, "subsample": 0.5, "learning_rate": 1.0},
        "late",
    ),
}


def make_xgboost_rows(target: str, rows: int = 4_000, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    orders = make_orders(rows, seed).with_columns(third=pl.col("count") % 3, size=pl.col("size") + 0.1)
    return orders.select("price", "weight", "count").to_numpy(), orders[target].cast(pl.Float64).to_numpy()


@pytest.mark.parametrize("kind", XGBOOST)
def test_every_objective_of_xgboost_is_kept_and_answers_from_onnx(kind: str) -> None:
    settings, target = XGBOOST[kind]
    matrix, truth = make_xgboost_rows(target)
    model = xgboost.train({"max_depth": 4, "seed": 1, **settings}, xgboost.DMatrix(matrix, label=truth), 12)
    package = build_package(model, make_orders(10_000, seed=7).select("price", "weight", "count"))
    assert package.parity.passed, str(package.parity)
    assert package.format == "onnx"
    assert package.params == {"objective": settings["objective"]}
    assert set(package.files) >= {"model.ubj", "model.onnx", "signature.json", "example.json", "MLmodel"}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"objective": "rank:ndcg"}, "'rank:ndcg' has no ONNX form"),
        ({"objective": "reg:squarederror", "booster": "gblinear"}, "linear booster has no ONNX form"),
    ],
)
def test_what_xgboost_has_and_onnx_has_not_stays_native(settings: dict, problem: str) -> None:
    matrix, truth = make_xgboost_rows("count")
    matrix = np.nan_to_num(matrix)
    group = {"group": [100] * 40} if settings["objective"].startswith("rank") else {}
    model = xgboost.train(settings, xgboost.DMatrix(matrix, label=truth, **group), 3)
    rows = make_orders(10_000, seed=7).select("price", "weight", "count").fill_null(0.0)
    package = build_package(model, rows)
    assert problem in package.parity.problem
    assert package.format == "xgboost"


def test_native_categories_of_xgboost_stay_native() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 40, (600, 1)).astype(np.float64)
    rows = xgboost.DMatrix(codes, label=np.isin(codes[:, 0], [1, 5, 7, 30]), feature_types=["c"])
    model = xgboost.train({"objective": "binary:logistic", "max_cat_to_onehot": 1}, rows, 4)
    package = build_package(model, {"code": codes[:, 0]})
    assert "categorical splits" in package.parity.problem
    flavor = XgboostFlavor()
    signature = package.signature
    answer = flavor.predict(flavor.load(package.files["model.ubj"]), {"code": codes[:, 0]}, signature)
    assert np.array_equal(answer["probability"], model.predict(rows))


def test_a_model_that_stopped_early_answers_as_its_best_round() -> None:
    matrix, truth = make_xgboost_rows("late")
    model = xgboost.XGBClassifier(n_estimators=80, early_stopping_rounds=3, learning_rate=1.0)
    model.fit(matrix[:3_000], truth[:3_000], eval_set=[(matrix[3_000:], truth[3_000:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    rows = make_orders(500, seed=7).select("price", "weight", "count")
    package = build_package(model, rows)
    flavor = XgboostFlavor()
    signature = package.signature
    checked = signature.check(to_columns(rows))
    answer = flavor.predict(flavor.load(package.files["model.ubj"]), checked, signature)
    assert np.array_equal(answer["probability"], model.predict_proba(rows.to_numpy())[:, 1])
    assert package.format == "onnx"


def test_several_targets_of_xgboost_are_refused() -> None:
    matrix, truth = make_xgboost_rows("late")
    model = xgboost.XGBRegressor(n_estimators=2).fit(matrix, np.column_stack([truth, truth]))
    with pytest.raises(Invalid, match="2 targets at once") as caught:
        build_package(model, make_orders(50).select("price", "weight", "count"))
    assert caught.value.code == "MODEL-002"


def test_read_back_models_answer_alike_with_and_without_onnx(tmp_path: Path) -> None:
    package = build_package(fit_boosting(), make_orders())
    for name, content in package.files.items():
        (tmp_path / name).write_bytes(content)
    files = {name: tmp_path / name for name in package.files}
    fast = load_predictor(files)
    native = load_predictor({name: path for name, path in files.items() if name != "model.onnx"})
    assert (fast.format, native.format) == ("onnx", "sklearn")
    columns = to_columns(make_orders(500, seed=3))
    checked = package.signature.check({each.name: columns[each.name] for each in package.signature.inputs})
    left, right = fast.predict(checked), native.predict(checked)
    assert np.array_equal(left["label"], right["label"])
    assert np.abs(left["probability"] - right["probability"]).max() <= 1e-5
    one = fast.predict({name: values[:1] for name, values in checked.items()})
    assert one["probability"][0] == left["probability"][0]


def test_equal_models_have_equal_files() -> None:
    first, second = (build_package(MODELS["boosting"](), make_orders()).files for _ in range(2))
    assert first == second


# skops reads keys of dicts that are booleans back as True: LightGBM keeps such a dict.
@pytest.mark.parametrize("name", sorted(MODELS.keys() - {"LightGBM in a pipeline"}))
def test_a_model_that_was_read_back_has_the_files_it_was_read_from(name: str) -> None:
    flavor = SklearnFlavor()
    content = flavor.save(MODELS[name]())
    assert flavor.save(flavor.load(content)) == content


def test_a_model_that_fails_parity_keeps_its_native_form_only() -> None:
    # skl2onnx writes thresholds as float32, which cannot tell prices around 1.7e9 apart.
    package = build_package(fit_pipeline(RandomForestClassifier(10, max_depth=8, random_state=0)), make_orders(10_000))
    assert not package.parity.passed
    assert package.parity.max_abs_dp > 1e-3
    assert package.format == "sklearn"
    assert "model.onnx" not in package.files
    assert "model.skops" in package.files


def test_a_model_that_refuses_unseen_categories_fails_parity() -> None:
    model = fit_pipeline(HistGradientBoostingClassifier(max_iter=3), encoder=OrdinalEncoder())
    package = build_package(model, make_orders())
    assert "unknown categories" in package.parity.problem
    assert package.format == "sklearn"


def test_an_object_without_a_conversion_keeps_its_native_form() -> None:
    vote = VotingClassifier([("boosting", HistGradientBoostingClassifier(max_iter=3))], voting="soft")
    package = build_package(fit_pipeline(vote), make_orders())
    assert package.parity.problem.startswith("it cannot be converted: ")
    assert package.format == "sklearn"


def test_nulls_are_refused_where_the_model_cannot_compute_with_them() -> None:
    rows = make_orders().drop_nulls()
    model = LogisticRegression().fit(rows.select("weight", "count"), rows["late"].to_numpy())
    package = build_package(model, rows)
    assert [each.nullable for each in package.signature.inputs] == [False, False]
    with pytest.raises(Invalid) as caught:
        package.signature.check({"weight": [None], "count": [1]})
    assert caught.value.code == "MODEL-009"


def test_the_example_may_hold_more_columns_but_not_fewer() -> None:
    model = fit_boosting()
    assert [each.name for each in build_package(model, make_orders(50)).signature.inputs] == TEXTS + NUMBERS
    with pytest.raises(Invalid) as caught:
        build_package(model, make_orders(50).drop("price"))
    assert (caught.value.code, caught.value.context["missing"]) == ("MODEL-005", ["price"])


def test_columns_that_the_first_step_drops_are_no_inputs() -> None:
    rows = make_orders().with_columns(at=pl.lit("2020-01-01").str.to_datetime())
    for steps in (
        ColumnTransformer([("texts", encode(), TEXTS), ("numbers", "passthrough", NUMBERS)]),
        ColumnTransformer(
            [("texts", encode(), TEXTS), ("no", "drop", ["order_id", "at"]), ("numbers", "passthrough", NUMBERS)]
        ),
    ):
        model = Pipeline([("encode", steps), ("model", HistGradientBoostingClassifier(max_iter=5))])
        package = build_package(model.fit(rows, rows["late"].to_numpy()), rows)
        assert [each.name for each in package.signature.inputs] == TEXTS + NUMBERS
        assert package.parity.passed, str(package.parity)


@pytest.mark.parametrize("bare", [False, True], ids=["pipeline", "bare"])
def test_columns_may_have_any_name(bare: bool) -> None:
    names = {
        "shop": "the shop (old)",
        "price": "price.€",
        "weight": "matrix",
        "count": "wind (m/s) ",
        "gift": "tail/x",
    }
    numbers = ["price.€", "matrix", "wind (m/s) ", "tail/x"]
    rows = make_orders().rename(names)
    steps = ColumnTransformer([("t", encode(), ["the shop (old)", "kind"]), ("n", "passthrough", numbers)])
    boosting = HistGradientBoostingClassifier(max_iter=5)
    model = boosting if bare else Pipeline([("encode", steps), ("model", boosting)])
    columns = numbers if bare else ["the shop (old)", "kind", *numbers]
    package = build_package(model.fit(rows.select(columns), rows["late"].to_numpy()), rows)
    assert package.parity.passed, str(package.parity)
    assert {each.name for each in package.signature.inputs} == set(columns)


@pytest.mark.parametrize("thing", [object(), 3, "model", lambda rows: rows, StandardScaler()])
def test_an_object_of_no_flavor_is_refused(thing: object) -> None:
    with pytest.raises(Invalid) as caught:
        find_flavor(thing)
    assert caught.value.code == "MODEL-002"
    assert "lightgbm, onnx, sklearn, torch, xgboost" in caught.value.why
    assert "allow_code" in caught.value.fix


def test_several_targets_and_fractions_as_classes_are_refused() -> None:
    rows = make_orders(200).drop_nulls()
    numbers = rows.select("price", "count")
    both = np.column_stack([rows["late"].to_numpy(), rows["gift"].to_numpy()])
    halves = LogisticRegression().fit(numbers, rows["late"].to_numpy() * 1)
    halves.classes_ = np.array([0.5, 1.0])
    for model, what in ((RandomForestClassifier(2).fit(numbers, both), "2 targets at once"), (halves, "is 0.5, not")):
        with pytest.raises(Invalid, match=what) as caught:
            build_package(model, rows)
        assert caught.value.code == "MODEL-002"


def test_an_estimator_with_code_of_its_own_is_refused() -> None:
    from sklearn.preprocessing import FunctionTransformer

    model = make_pipeline(FunctionTransformer(subprocess.getoutput), LogisticRegression())
    model.steps[1][1].classes_ = np.array([0, 1])
    with pytest.raises(Invalid, match="subprocess") as caught:
        find_flavor(model).save(model)
    assert caught.value.code == "MODEL-002"


def test_damaged_or_missing_files_are_refused(tmp_path: Path) -> None:
    package = build_package(fit_boosting(), make_orders(50))
    for name, content in package.files.items():
        (tmp_path / name).write_bytes(content[: len(content) // 2] if name == "model.onnx" else content)
    files = {name: tmp_path / name for name in package.files}
    for broken in (files, {"model.onnx": files["model.onnx"]}, {**files, "model.onnx": tmp_path / "gone"}):
        with pytest.raises(Invalid) as caught:
            load_predictor(broken)
        assert caught.value.code == "MODEL-010"
    with pytest.raises(Invalid, match="no flavor reads"):
        load_predictor({"signature.json": files["signature.json"]})


def test_the_mlmodel_file_is_yaml_that_names_the_forms() -> None:
    yaml = pytest.importorskip("yaml")
    package = build_package(fit_boosting(), make_orders(50))
    found = yaml.safe_load(package.files["MLmodel"])
    assert set(found["flavors"]) == {"sklearn", "onnx", "python_function", "mainspring"}
    inputs = msgspec.json.decode(found["signature"]["inputs"])
    assert [each["name"] for each in inputs] == TEXTS + NUMBERS
    request = msgspec.json.decode(package.files["example.json"])
    assert request["inputs"][0]["datatype"] == "BYTES"


def test_a_predictor_of_onnx_imports_no_training_library(tmp_path: Path) -> None:
    package = build_package(fit_boosting(), make_orders(50))
    for name, content in package.files.items():
        (tmp_path / name).write_bytes(content)
    script = (
        "import sys, pathlib; from mainspring.models.runtime import load_predictor\n"
        f"files = {{p.name: p for p in pathlib.Path({str(tmp_path)!r}).iterdir()}}\n"
        "print(load_predictor(files).format)\n"
        "heavy = {'sklearn', 'skops', 'lightgbm', 'skl2onnx', 'onnx', 'polars', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "onnx"), done.stderr


def test_a_signature_survives_its_file() -> None:
    package = build_package(fit_boosting(), make_orders(50))
    assert msgspec.json.decode(package.files["signature.json"], type=Signature) == package.signature
    shop = package.signature.inputs[0]
    assert (shop.name, shop.datatype, shop.categories) == ("shop", "BYTES", ("east", "north", "south"))


def test_a_program_without_its_library_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Unavailable) as caught:
        TorchFlavor().load(b"any")
    assert (caught.value.code, caught.value.fix) == ("MODEL-011", "pip install 'mainspring[torch]'")
