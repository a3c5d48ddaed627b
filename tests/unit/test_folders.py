"""Folders with an MLmodel file: what is read, and each way to lie that is refused with one error."""

import os
import pickle
import shutil

import lightgbm
import numpy as np
import onnx
import pytest
import skops.io
import xgboost
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mainspring.domain.errors import Denied, Invalid, MainspringError
from mainspring.models.folders import list_files, open_folder, package_folder, read_folder

SIGNATURE = """signature:
  inputs: '[{"type": "double", "name": "a", "required": true}, {"type": "double",
    "name": "b", "required": true}]'
  outputs: null
"""


class Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def rows():
    return np.random.default_rng(3).normal(size=(200, 2))


@pytest.fixture
def truth(rows):
    return (rows[:, 0] > 0).astype(int)


@pytest.fixture
def write(tmp_path):
    """Write a folder and return its files."""

    def write(entry, files, rest=SIGNATURE):
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "MLmodel").write_text(f"flavors:\n{entry}{rest}")
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return list_files(folder)

    return write


def entry(name, **settings):
    return f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in settings.items())


def sklearn_entry(file="model.skops", form="skops", **more):
    return entry("sklearn", pickled_model=file, serialization_format=form, **more)


def refuse(files, **options):
    with pytest.raises(MainspringError) as caught:
        package_folder(files, **options)
    return caught.value


def test_rows_are_drawn_where_a_folder_brings_none(write, rows, truth):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, truth)
    package = package_folder(write(sklearn_entry(), {"model.skops": skops.io.dumps(model)}))
    assert package.format == "onnx", str(package.parity)
    assert [each.name for each in package.signature.inputs] == ["a", "b"]


def test_a_folder_without_signature_and_example_wants_one(write, rows, truth):
    files = write(sklearn_entry(), {"model.skops": skops.io.dumps(LogisticRegression().fit(rows, truth))}, "")
    fault = refuse(files)
    assert (fault.code, fault.what) == ("MODEL-062", "MLmodel has neither a signature nor an input example")
    package = package_folder(files, example={"left": rows[:, 0], "right": rows[:, 1]})
    assert [each.name for each in package.signature.inputs] == ["left", "right"]


def make_lies(rows, truth, mark):
    linear = LogisticRegression().fit(rows, truth)
    boosted = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(rows, truth)
    tree = bytes(xgboost.train({}, xgboost.DMatrix(rows, label=truth), 2).save_raw("ubj"))
    trap, coded = pickle.dumps(Trap(mark)), FunctionTransformer(os.mkdir, kw_args={"path": str(mark)})
    text = boosted.booster_.model_to_string().encode()
    skopsed, estimator = skops.io.dumps(linear), "lightgbm.sklearn.LGBMClassifier"
    return {
        "skops that is a pickle": (sklearn_entry(), {"model.skops": trap}, "says sklearn, but model.skops is none"),
        "skops with code": (
            sklearn_entry(skops_trusted_types='["sklearn.preprocessing._function_transformer.FunctionTransformer"]'),
            {"model.skops": skops.io.dumps(make_pipeline(coded, linear))},
            "says sklearn, but model.skops is none",
        ),
        "a booster that is a pickle": (entry("xgboost", data="model.ubj"), {"model.ubj": trap}, "says xgboost"),
        "XGBoost that is LightGBM": (
            entry("xgboost", data="model.ubj"), {"model.ubj": text}, "says xgboost",
        ),
        "LightGBM that is XGBoost": (entry("lightgbm", data="model.lgb"), {"model.lgb": tree}, "says lightgbm"),
        "LightGBM that is linear": (
            entry("lightgbm", data="model.skops", model_class=estimator, serialization_format="skops"),
            {"model.skops": skopsed},
            f"says {estimator}, but model.skops holds sklearn.linear_model._logistic.LogisticRegression",
        ),
        "a scaler": (sklearn_entry(), {"model.skops": skops.io.dumps(StandardScaler().fit(rows))}, "holds sklearn"),
        "ONNX that is a pickle": (entry("onnx", data="model.onnx"), {"model.onnx": trap}, "says onnx"),
        "a file that is not there": (sklearn_entry("other.skops"), {"model.skops": skopsed}, "names 'other.skops'"),
        "a file of the machine": (sklearn_entry("/etc/passwd"), {"model.skops": skopsed}, "names '/etc/passwd'"),
        "a file above": (sklearn_entry("../MLmodel"), {"model.skops": skopsed}, "names '../MLmodel'"),
        "code that is not there": (
            entry("python_function", loader_module="mlflow.pyfunc.model", python_model="python_model.pkl"),
            {"other.pkl": trap}, "names 'python_model.pkl'",
        ),
        "code of the machine": (
            entry("python_function", loader_module="mlflow.pyfunc.model", model_code_path="/etc/passwd"),
            {}, "names 'passwd'",
        ),
        "a loader of another library": (
            sklearn_entry() + entry("python_function", loader_module="mlflow.xgboost"),
            {"model.skops": skopsed}, "has it loaded by mlflow.xgboost",
        ),
        "a loader of its own": (
            sklearn_entry() + entry("python_function", loader_module="os"), {"model.skops": skopsed}, "loaded by os",
        ),
    }  # fmt: skip


LIES = sorted(make_lies(np.random.default_rng(3).normal(size=(40, 2)), np.arange(40) % 2, "nowhere"))


@pytest.mark.parametrize("lie", LIES)
def test_a_folder_that_lies_about_its_flavor_is_refused(lie, write, rows, truth, tmp_path):
    mark = tmp_path / "mark"
    entries, files, what = make_lies(rows, truth, mark)[lie]
    fault = refuse(write(entries, files))
    assert fault.code == "MODEL-060"
    assert what in fault.what
    assert "save the model again" in fault.fix
    assert not mark.exists()


def test_a_signature_of_other_inputs_is_a_lie(write, rows, truth):
    names = ["a", "other"]
    booster = xgboost.train({}, xgboost.DMatrix(rows, label=truth, feature_names=names), 2)
    fault = refuse(write(entry("xgboost", data="model.ubj"), {"model.ubj": bytes(booster.save_raw("ubj"))}))
    assert (fault.code, fault.context["missing"]) == ("MODEL-060", ["other"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("flavors: !!python/object/apply:os.mkdir ['mark']\n", "begins with '!'"),
        ("flavors: {}\n", "no entry of nothing"),
        ("flavors:\n  spark:\n    data: x\n", "no entry of spark"),
        ("flavors:\n  sklearn:\n    code: null\n", "it has no 'pickled_model'"),
        ("- 1\n", "list indices"),
        ("", "object is not subscriptable"),
        ("a: 1\na: 2\n", "names 'a' again"),
    ],
)
def test_an_mlmodel_file_that_cannot_be_read_is_one_error(text, what, tmp_path):
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(Invalid) as caught:
        read_folder(list_files(tmp_path))
    assert caught.value.code == "MODEL-062"
    assert what in caught.value.what


def test_a_folder_without_mlmodel_and_links_out_of_it_are_refused(tmp_path, write, rows, truth):
    with pytest.raises(Invalid, match="no file MLmodel"):
        read_folder(list_files(tmp_path / "nowhere"))
    files = write(sklearn_entry(), {})
    (tmp_path / "secret").write_bytes(skops.io.dumps(LogisticRegression().fit(rows, truth)))
    (files["MLmodel"].parent / "model.skops").symlink_to(tmp_path / "secret")
    assert refuse(list_files(files["MLmodel"].parent)).code == "MODEL-060"


def test_a_pickle_is_opened_in_another_process_only_and_leaves_no_pickle(write, rows, truth, tmp_path):
    linear = LogisticRegression().fit(rows, truth)
    files = write(sklearn_entry("model.pkl", "cloudpickle"), {"model.pkl": pickle.dumps(linear)})
    with pytest.raises(Denied) as caught:
        open_folder(files, read_folder(files))
    assert caught.value.code == "MODEL-061"
    package = package_folder(files, allow_code=True)
    assert {"model.skops", "model.onnx"} <= set(package.files)
    assert not any(b"cloudpickle" in content or name.endswith(".pkl") for name, content in package.files.items())


class Witness:
    def __reduce__(self):
        return eval, ("(__import__('os').environ.get('MAINSPRING_HOME'), __import__('os').getpid())",)


@pytest.mark.parametrize("content", [pickle.dumps(Witness()), b"noise", pickle.dumps({"a": 1})])
def test_a_pickle_of_something_else_is_refused(content, write, monkeypatch):
    monkeypatch.setenv("MAINSPRING_HOME", "/somewhere")
    fault = refuse(write(sklearn_entry("model.pkl", "pickle"), {"model.pkl": content}), allow_code=True)
    assert fault.code == "MODEL-061"
    assert "/somewhere" not in str(fault)
    assert f"{os.getpid()}" not in str(fault)


def make_graph(inputs=(("x", [None, 2]),), domain="", weight=None, width=1):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, width])
    weight = weight or onnx.numpy_helper.from_array(np.array([[1.0], [2.0]], np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], domain=domain)], "g", ends, [out], [weight]
    )
    opsets = [helper.make_opsetid("", 18)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_a_graph_of_a_folder_answers_for_named_columns(write, rows):
    files = write(entry("onnx", data="model.onnx"), {"model.onnx": make_graph().SerializeToString()})
    package = package_folder(files)
    assert package.parity.passed
    assert [each.name for each in package.signature.inputs] == ["a", "b"]
    assert [each.name for each in package.signature.outputs] == ["value"]


@pytest.mark.parametrize("kind", ["external", "custom", "tensor"])
def test_a_graph_that_wants_more_than_a_graph_is_refused(kind, write):
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 1], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="/etc/passwd")
    graph, what = {
        "external": (make_graph(weight=weight), "'w' lies in another file"),
        "custom": (make_graph(domain="com.example"), "operators of 'com.example'"),
        "tensor": (make_graph(inputs=(("x", [None, 3, 2]),)), "neither columns nor one matrix"),
    }[kind]
    fault = refuse(write(entry("onnx", data="model.onnx"), {"model.onnx": graph.SerializeToString()}))
    assert fault.code == "MODEL-060"
    assert what in fault.what
