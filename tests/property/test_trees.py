"""ONNX takes the branch that the library takes: at every threshold, beside it, at NaN and infinity."""

import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from mainspring.models.adapters.lightgbm import LightgbmFlavor, read_forest
from mainspring.models.adapters.onnx import OnnxPredictor
from mainspring.models.adapters.sklearn import SklearnFlavor, _read_forest
from mainspring.models.adapters.xgboost import XgboostFlavor, read_booster
from mainspring.models.signature import Signature, infer

COLUMNS = ("a", "b", "c")


def draw(seed: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of very different size, some on a coarse grid, some missing."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-6, 10, 3)
    matrix = rng.normal(size=(rows, 3)) * scale
    matrix[:, 1] = np.round(rng.random(rows) * 8) / 8
    matrix[rng.random((rows, 3)) < rng.choice([0.0, 0.1])] = np.nan
    with np.errstate(invalid="ignore"):
        return matrix, np.nan_to_num(matrix[:, 0]) / scale[0] + np.nan_to_num(matrix[:, 1]) + rng.normal(0, 0.3, rows)


def make(kind: str, seed: int) -> tuple[object, object, np.ndarray]:
    matrix, value = draw(seed)
    label = (value > np.median(value)).astype(int) + (value > np.quantile(value, 0.8)) * (kind == "three")
    options = {"n_estimators": 8, "verbose": -1, "min_child_samples": 3, "n_jobs": 1}
    if kind == "sklearn":
        return (
            SklearnFlavor(),
            HistGradientBoostingClassifier(max_iter=8, min_samples_leaf=3).fit(matrix, label),
            matrix,
        )
    if kind == "three":
        return SklearnFlavor(), HistGradientBoostingClassifier(max_iter=5).fit(matrix, label), matrix
    if kind == "value":
        return SklearnFlavor(), HistGradientBoostingRegressor(max_iter=8).fit(matrix, value), matrix
    if kind.startswith("xgboost"):
        return XgboostFlavor(), boost(kind, seed, matrix, value, label), matrix
    return LightgbmFlavor(), lightgbm.LGBMClassifier(**options).fit(matrix, label), matrix


def boost(kind: str, seed: int, matrix: np.ndarray, value: np.ndarray, label: np.ndarray) -> xgboost.Booster:
    """Train a booster whose settings the seed draws, the odd ones of the base score among them."""
    rng = np.random.default_rng(seed)
    settings: dict[str, object] = {"nthread": 1, "max_depth": int(rng.integers(1, 6)), "seed": seed}
    if rng.random() < 0.5:
        settings["base_score"] = float(rng.choice([0.5, 0.01, 0.99]))
    if rng.random() < 0.3:
        settings |= {"booster": "dart", "rate_drop": 0.5}
    if rng.random() < 0.3:
        settings["gamma"] = float(rng.choice([0.5, 5.0]))  # pruning leaves nodes that nobody reaches
    if rng.random() < 0.3:
        settings |= {"num_parallel_tree": 3, "subsample": 0.6}
    if kind == "xgboost three":
        label = label + (value > np.quantile(value, 0.8))
        settings |= {"objective": "multi:softprob", "num_class": 3}
    elif kind == "xgboost value":
        settings["objective"] = str(rng.choice(["reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"]))
    else:
        settings["objective"] = str(rng.choice(["binary:logistic", "reg:logistic"]))
    truth = value if kind == "xgboost value" else label
    return xgboost.train(settings, xgboost.DMatrix(matrix, label=truth, nthread=1), int(rng.integers(1, 10)))


def find_thresholds(model: object) -> np.ndarray:
    if isinstance(model, xgboost.Booster):
        forest = read_booster(model)
    else:
        forest = read_forest(model.booster_.model_to_string()) if hasattr(model, "booster_") else _read_forest(model)
    return np.concatenate([tree.threshold[~tree.leaf] for tree in forest.trees])


@pytest.mark.parametrize("kind", ["sklearn", "three", "value", "lightgbm", "xgboost", "xgboost three", "xgboost value"])
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 10_000))
@example(seed=9)
@example(seed=242)
def test_every_row_ends_in_the_same_leaf(kind: str, seed: int) -> None:
    flavor, model, matrix = make(kind, seed)
    rng = np.random.default_rng(seed)
    edges = find_thresholds(model)
    edges = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf), [0.0, np.nan]])
    extreme = {"lightgbm": [1e300, -1e300], "xgboost": [3e38, -3e38]}.get(kind.partition(" ")[0], [np.inf, -np.inf])
    if kind.startswith("xgboost"):  # it reads float32: what matters is beside the threshold there
        single = edges.astype(np.float32)
        edges = np.concatenate(
            [edges, np.nextafter(single, np.float32(np.inf)), np.nextafter(single, -np.float32(np.inf))]
        )
    rows = np.vstack([rng.choice(np.concatenate([edges, extreme]), (2_000, 3)), matrix])
    columns = {name: rows[:, number] for number, name in enumerate(COLUMNS)}
    signature = Signature(infer(columns).inputs, flavor.outputs(model))
    checked = signature.check(columns)
    native = flavor.predict(model, checked, signature)
    converted = OnnxPredictor(flavor.convert(model, signature), signature).predict(checked)
    most = 4e-6 if kind.startswith("xgboost") else 1e-6  # it adds in float32
    again = flavor.predict(flavor.load(flavor.save(model)), checked, signature)
    for name, values in native.items():
        assert np.array_equal(values, again[name])
        if name == "label":
            sums_alike = native["probability"].ndim == 1 and kind.startswith("xgboost")
            even = sums_alike & (np.abs(native["probability"].reshape(len(values), -1)[:, 0] - 0.5) < most)
            assert np.array_equal(values[~even], converted[name][~even])
        else:
            assert np.abs(values - converted[name]).max() <= most * max(1.0, np.abs(values).max())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1}, "has no ONNX form"),
        ({"linear_tree": True}, "linear leaves"),
        ({"zero_as_missing": True}, "zeros as missing"),
    ],
)
def test_what_onnx_cannot_say_is_refused(options: dict, match: str) -> None:
    matrix, value = draw(1)
    matrix = np.nan_to_num(matrix)
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, **options).fit(matrix, (value > 0).astype(int))
    with pytest.raises(ValueError, match=match):
        read_forest(model.booster_.model_to_string())


def test_categorical_splits_of_lightgbm_are_refused() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 12, (500, 1))
    label = np.isin(codes[:, 0], [1, 5, 7]).astype(int)
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(codes, label, categorical_feature=[0])
    with pytest.raises(ValueError, match="categorical splits"):
        read_forest(model.booster_.model_to_string())
