"""Folders of models go both ways: MLflow opens ours as they are, and what MLflow wrote is registered here."""

import json
import os
import subprocess
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from tests.support.serving import wait_for_planes

import mainspring as ms
from mainspring.domain.errors import Denied, Invalid, Unavailable
from mainspring.domain.messages import PutVersion, StopService
from mainspring.models.columns import to_columns
from mainspring.models.folders import list_files
from mainspring.models.package import build_package
from mainspring.models.runtime import load_predictor
from mainspring.monitoring.check import Settings
from mainspring.worker.jobs.observations import list_watched

PROGRAMS = Path(__file__).parents[1] / "support" / "mlflow"
PATIENCE_S = 240


def make_orders(rows: int = 600, seed: int = 20130101) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "shop": rng.choice(["north", "south", "east"], rows).tolist(),
            "price": rng.gamma(2.0, 30.0, rows),
            "weight": rng.normal(size=rows),
            "count": rng.integers(0, 9, rows),
        }
    )


def make_truth(rows: pl.DataFrame) -> np.ndarray:
    return ((rows["price"] / 60 + rows["weight"]) > 1.0).to_numpy().astype(np.int64)


def run_mlflow(python: Path, program: str, *words: str, given: str = "") -> dict:
    """Run a program of tests/support/mlflow and return what it printed."""
    quiet = {
        "PYTHONWARNINGS": "ignore",
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [python, PROGRAMS / program, *words],
        capture_output=True, text=True, timeout=PATIENCE_S, input=given, env=quiet, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def fit_pipeline(estimator, rows, truth):
    encode = ColumnTransformer([("shop", OrdinalEncoder(), ["shop"])], remainder="passthrough")
    return Pipeline([("encode", encode), ("model", estimator)]).fit(rows, truth)


def make_graph(rows, truth):
    """Return what another tool has written: one matrix, a label and probabilities."""
    from skl2onnx import to_onnx

    matrix = rows.drop("shop").to_numpy().astype(np.float32)
    model = LogisticRegression().fit(matrix, truth)
    return to_onnx(model, matrix[:1], options={"zipmap": False}, target_opset=18)


OURS = {
    "sklearn": lambda rows, truth: fit_pipeline(HistGradientBoostingClassifier(max_iter=8), rows, truth),
    "sklearn_classes": lambda rows, truth: fit_pipeline(
        HistGradientBoostingClassifier(max_iter=4), rows, rows["count"].to_numpy() % 3
    ),
    "sklearn_native": lambda rows, truth: fit_pipeline(
        VotingClassifier([("boosting", HistGradientBoostingClassifier(max_iter=3))], voting="soft"), rows, truth
    ),
    "onnx": make_graph,
    "lightgbm": lambda rows, truth: lightgbm.LGBMRegressor(n_estimators=8, verbose=-1).fit(
        rows.drop("shop").to_numpy(), truth
    ),
    "xgboost": lambda rows, truth: xgboost.train(
        {"objective": "binary:logistic"},
        xgboost.DMatrix(rows.drop("shop").to_numpy(), label=truth, feature_names=["price", "weight", "count"]),
        8,
    ),
}


def write_folder(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in files}


def test_mlflow_opens_what_register_writes(tmp_path, mlflow_python):
    """Unmodified, by pyfunc and by the library's own module; answers are those of the form that is native here."""
    rows = make_orders()
    natives = {}
    for name, fit in OURS.items():
        example = rows if name.startswith("sklearn") else rows.drop("shop")
        package = build_package(fit(rows, make_truth(rows)), example)
        files = write_folder(tmp_path / name, package.files)
        kept = {each: path for each, path in files.items() if each != "model.onnx" or name == "onnx"}
        natives[name] = load_predictor(kept)
    asked = make_orders(50, seed=3)
    given = json.dumps({"columns": asked.columns, "data": [list(row) for row in asked.rows()]})
    found = run_mlflow(mlflow_python, "open_folders.py", *(str(tmp_path / name) for name in OURS), given=given)
    for name, native in natives.items():
        told = found[str(tmp_path / name)]
        columns = to_columns(asked)
        checked = native.signature.check({each.name: columns[each.name] for each in native.signature.inputs})
        answer = native.predict(checked)
        if isinstance(told["answers"], dict):
            assert set(told["answers"]) == set(answer)
            for output, values in told["answers"].items():
                assert np.allclose(np.squeeze(answer[output]), np.squeeze(values), rtol=0, atol=1e-6)
        else:
            output = {"lightgbm": "value", "xgboost": "probability"}.get(name, "label")
            assert np.allclose(answer[output], told["answers"], rtol=0, atol=1e-6)
        assert told["types"] == {
            each.name: {"BYTES": "string", "FP64": "double", "INT64": "long"}[each.datatype]
            for each in native.signature.inputs
        }
        shown = {each.name: rows[each.name].head(3).to_list() for each in native.signature.inputs}
        assert told["example"] == shown
    assert {name: found[str(tmp_path / name)]["own"] for name in OURS} == {
        **dict.fromkeys(("sklearn", "sklearn_classes", "sklearn_native"), "Pipeline"),
        **dict.fromkeys(("lightgbm", "xgboost"), "Booster"),
        "onnx": "ModelProto",
    }


@pytest.fixture(scope="module")
def foreign(tmp_path_factory, mlflow_python):
    """Folders that MLflow wrote, with what its pyfunc answers for some rows."""
    root = tmp_path_factory.mktemp("foreign")
    told = run_mlflow(mlflow_python, "make_folders.py", str(root))
    return root, told["rows"], told["answers"]


LABELS = ["skops", "plain", "matrix", "lightgbm", "xgboost"]


@pytest.mark.parametrize("name", [*LABELS, "pickled", "lightgbm_booster", "xgboost_booster"])
def test_a_folder_of_mlflow_is_registered_and_answers_as_pyfunc(name, foreign, client):
    root, rows, answers = foreign
    model = ms.register(root / name, name, allow_code=name == "pickled")
    assert model.details["format"] == "onnx", model.details["parity"]
    names = [each.name for each in model.signature.inputs]
    given = {each: rows[key] for each, key in zip(names, "abcd", strict=True)}
    assert names == (["x0", "x1", "x2", "x3"] if name == "matrix" else ["a", "b", "c", "d"])
    assert model.signature.inputs[3].datatype == ("FP64" if name == "matrix" else "INT64")
    answer = model.predict(given)
    if "booster" in name:
        assert np.allclose(answer["probability"], answers[name], rtol=0, atol=1e-5)
    else:
        assert answer["label"].to_list() == answers[name]
    assert model.details["environment"]["python"]
    assert not any(file.endswith(".pkl") for file in model.files)
    assert ms.register(root / name, name, allow_code=name == "pickled").version.number == 1


def test_a_folder_of_mlflow_is_deployed_and_answers_as_pyfunc(foreign, client):
    root, rows, answers = foreign
    model = ms.register(root / "xgboost", "boosted")
    service = ms.deploy("boosting", model.version.reference)
    try:
        answer = service.predict([dict(zip(rows, each, strict=True)) for each in zip(*rows.values(), strict=True)])
        assert list(answer["label"]) == answers["xgboost"]
    finally:
        client.ask(StopService("boosting"))
        wait_for_planes(client.home)


def test_a_version_that_has_the_files_of_a_folder_is_served_as_it_is(foreign, client):
    """As the registry has it when an MLflow client has logged the model: nothing was packaged here."""
    root, rows, answers = foreign
    manifests = {
        name: {each: client.blobs.put(path.read_bytes()) for each, path in list_files(root / name).items()}
        for name in ("lightgbm", "pickled")
    }
    for name, manifest in manifests.items():
        client.ask(PutVersion("model", name, digest=f"{name}-of-mlflow", manifest=manifest))
    model = ms.Model("lightgbm@1")
    assert [each.name for each in model.signature.inputs] == ["a", "b", "c", "d"]
    assert model.predict(rows)["label"].to_list() == answers["lightgbm"]
    with pytest.raises(Denied, match="MODEL-061"):
        ms.Model("pickled@1").predict(rows)
    service = ms.deploy("light", "lightgbm@1")
    try:
        answer = service.predict([dict(zip(rows, each, strict=True)) for each in zip(*rows.values(), strict=True)])
        assert list(answer["label"]) == answers["lightgbm"]
    finally:
        client.ask(StopService("light"))
        wait_for_planes(client.home)


def test_what_an_mlflow_client_registered_is_watched_and_converted_once(foreign, client):
    root, rows, answers = foreign
    files = {each: client.blobs.put(path.read_bytes()) for each, path in list_files(root / "pickled").items()}
    client.ask(PutVersion("model", "logged", digest="logged", manifest=files, details={"format": "mlflow"}))
    logged = ms.Model("logged@1")
    assert list_watched(logged.version, Settings(event_time="at")) == ["a", "b", "c", "d"]
    ms.write([{"id": 1, "a": 0.0, "b": 1.0, "c": 2.0, "d": 3}], "orders", key="id")
    with pytest.raises(Invalid, match=r"MODEL-063: logged@1 holds files of MLflow's") as refused:
        logged.predict("orders", to="scores")
    assert 'ms.register(ms.Model("logged@1"), "logged")' in refused.value.fix
    with pytest.raises(Denied, match="MODEL-061"):
        ms.register(logged, "logged")
    converted = ms.register(logged, "logged", allow_code=True)
    assert converted.version.reference == "logged@2"
    assert converted.details["converted"] == "logged@1"
    assert [each["name"] for each in converted.details["signature"]["inputs"]] == ["a", "b", "c", "d"]
    assert "example.json" in converted.files
    assert not any(name.endswith(".pkl") for name in converted.files)
    assert converted.predict(rows)["label"].to_list() == answers["pickled"]
    assert converted.predict("orders", to="scores").rows == 1
    assert ms.register(logged, "logged", allow_code=True).version.number == 2


def test_pickles_and_code_of_a_folder_are_not_opened_unasked(foreign, client):
    root, _, _ = foreign
    with pytest.raises(Denied, match=r"model\.pkl is a pickle") as caught:
        ms.register(root / "pickled", "pickled")
    assert caught.value.code == "MODEL-061"
    assert "allow_code=True" in caught.value.fix
    with pytest.raises(Denied, match=r"python_model\.pkl is code of MLflow's python_function") as refused:
        ms.register(root / "code", "code")
    assert refused.value.code == "MODEL-061"
    with pytest.raises(Unavailable, match="the model's code needs mlflow") as missing:
        ms.register(root / "code", "code", allow_code=True)
    assert (missing.value.code, missing.value.fix) == ("MODEL-011", "pip install mlflow")
