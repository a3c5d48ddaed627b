"""Files that were made to run code, or to have other files read: each format that anything here opens."""

import ast
import io
import json
import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
import skops.io
import xgboost
from onnx import TensorProto, helper
from sklearn.preprocessing import FunctionTransformer
from tests.support.serving import save_model

import mainspring
from mainspring.domain.errors import Denied, Invalid
from mainspring.domain.records import Value
from mainspring.models.adapters.lightgbm import LightgbmFlavor
from mainspring.models.adapters.onnx import OnnxPredictor
from mainspring.models.adapters.sklearn import SklearnFlavor
from mainspring.models.adapters.xgboost import XgboostFlavor
from mainspring.models.runtime import SEALED_FILE, load_predictor
from mainspring.models.signature import Column, Signature
from mainspring.security.seals import Seal
from mainspring.store.blobs import FolderBlobs
from mainspring.store.files import LocalFileSystem
from mainspring.tracking.codecs import CODECS, load_value

SEAL = Seal(b"k" * 32)
SOURCES = sorted(Path(mainspring.__file__).parent.rglob("*.py"))


class Trap:
    """Leaves a mark when it is loaded, by pickle as by skops."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class State:
    """Leaves a mark when skops gives it its state."""

    def __init__(self, path):
        self.path = str(path)

    def __getstate__(self):
        return {"path": self.path}

    def __setstate__(self, state):
        Path(state["path"]).mkdir()


@pytest.fixture
def mark(tmp_path):
    """A folder that no test may find afterwards."""
    path = tmp_path / "mark"
    yield path
    assert not path.exists(), "code of a file was run"


@pytest.fixture
def blobs(tmp_path):
    return FolderBlobs(tmp_path / "blobs", LocalFileSystem())


def test_the_traps_work(tmp_path):
    """Else none of the following could fail."""
    pickle.loads(pickle.dumps(Trap(tmp_path / "a")))
    content = skops.io.dumps(State(tmp_path / "b"))
    skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    np.load(npy(tmp_path / "c"), allow_pickle=True)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c"}


def npy(path, save=np.save):
    file = io.BytesIO()
    save(file, np.array([Trap(path)], dtype=object))
    file.seek(0)
    return file


@pytest.mark.parametrize("codec", [codec.name for codec in CODECS])
def test_a_pickle_in_the_place_of_a_value_is_not_opened(codec, blobs, mark):
    """Whatever a value is said to be: bytes that unpickling would run are data, or an error."""
    for content in (pickle.dumps(Trap(mark)), b"\0" * 32 + pickle.dumps(Trap(mark)), b"a" + pickle.dumps(Trap(mark))):
        stored = Value(codec, blobs.put(content), len(content))
        if codec in {"sealed", "dataclass"}:
            with pytest.raises(Denied, match="HOME-012"):
                load_value(stored, blobs, SEAL)
            continue
        with suppress(Exception):  # each format has words of its own for bytes that are none of it
            load_value(stored, blobs, SEAL)


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_an_array_of_objects_is_not_opened(save, blobs, mark):
    content = b"a" + npy(mark, save).read()
    stored = Value("ndarray", blobs.put(content), len(content))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.asarray([*load_value(stored, blobs, SEAL).values()])


@pytest.mark.parametrize("make", [State, lambda path: FunctionTransformer(os.mkdir, kw_args={"path": str(path)})])
def test_a_skops_file_is_trusted_by_our_list_alone(make, mark):
    """MLflow read the list of trusted types from the model's own file."""
    with pytest.raises(Invalid, match="MODEL-010"):
        SklearnFlavor().load(skops.io.dumps(make(mark)))


@pytest.mark.parametrize("flavor", [SklearnFlavor, LightgbmFlavor, XgboostFlavor])
def test_a_pickle_in_the_place_of_a_model_is_not_opened(flavor, mark):
    with pytest.raises(Invalid, match="MODEL-010"):
        flavor().load(pickle.dumps(Trap(mark)))


def make_booster(form="ubj"):
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(80, 3))
    settings = {"objective": "binary:logistic", "max_depth": 3}
    return bytes(xgboost.train(settings, xgboost.DMatrix(rows, label=rows[:, 0] > 0), 3).save_raw(form))


@pytest.mark.parametrize("seed", range(5))
def test_a_booster_with_other_bytes_answers_or_is_refused(seed):
    """XGBoost follows what its file says: a child that is nowhere would have it read any memory."""
    flavor, content, rng = XgboostFlavor(), make_booster(), np.random.default_rng(seed)
    columns = {name: rng.normal(size=20).astype(np.float32) for name in "abc"}
    signature = Signature(
        tuple(Column(name, "FP32") for name in columns), (Column("label", "INT64"), Column("probability", "FP32"))
    )
    refused = 0
    for _ in range(200):
        bad = bytearray(content)
        for place in rng.integers(len(bad), size=rng.integers(1, 6)):
            bad[place] = rng.integers(256)
        try:
            model = flavor.load(bytes(bad))
        except Invalid:
            refused += 1
            continue
        with suppress(Exception):  # what it was made to say of its objective may fit no answer
            flavor.predict(model, columns, signature)
    assert refused


def change_booster(change):
    document = json.loads(make_booster("json"))
    change(document["learner"]["gradient_booster"]["model"])
    return json.dumps(document, separators=(",", ":")).encode()


CHANGES = {
    "a child that is nowhere": lambda model: model["trees"][0]["left_children"].__setitem__(0, 10_000),
    "a circle": lambda model: model["trees"][0]["left_children"].__setitem__(1, 0),
    "two parents": lambda model: model["trees"][0].update(right_children=model["trees"][0]["left_children"]),
    "a column that is not there": lambda model: model["trees"][0]["split_indices"].__setitem__(0, 7),
    "a short array": lambda model: model["trees"][0]["default_left"].pop(),
    "a tree of another class": lambda model: model["tree_info"].__setitem__(0, 5),
    "a tree too few": lambda model: model["trees"].pop(),
    "rounds beyond its trees": lambda model: model["iteration_indptr"].__setitem__(1, 9),
    "categories without a split": lambda model: model["trees"][0].update(categories_nodes=[0]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_booster_that_leads_out_of_its_arrays_is_refused(name):
    flavor = XgboostFlavor()
    flavor.load(change_booster(lambda model: None))
    with pytest.raises(Invalid, match="MODEL-010"):
        flavor.load(change_booster(CHANGES[name]))


def test_a_model_that_another_project_sealed_is_not_opened(tmp_path, mark):
    files = save_model(tmp_path / "model")
    for name in set(files) - {"signature.json"}:
        Path(files.pop(name)).unlink()
    path = tmp_path / SEALED_FILE
    path.write_bytes(Seal(b"other" * 8).seal(pickle.dumps(Trap(mark))))
    with pytest.raises(Denied, match="HOME-012"):
        load_predictor({**{name: Path(each) for name, each in files.items()}, SEALED_FILE: path}, seal=SEAL)


@pytest.mark.parametrize("place", ["secret.bin", "{root}/secret.bin", "inner/../secret.bin", "../{name}/secret.bin"])
def test_a_graph_that_names_files_reads_none(place, tmp_path, monkeypatch):
    """MLflow 2024-1594 and others: what names a file of the server gets its content back."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inner").mkdir()
    np.array([41.5], np.float32).tofile(tmp_path / "secret.bin")
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=place.format(root=tmp_path, name=tmp_path.name))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("x", "value")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["value"])], "g", ends[:1], ends[1:], [weight])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    assert onnx.load_model_from_string(content).graph.initializer[0].data_location == TensorProto.EXTERNAL
    signature = Signature((Column("x", "FP32"),), (Column("value", "FP32"),))
    with pytest.raises(Invalid, match="MODEL-010"):
        OnnxPredictor(content, signature).predict({"x": np.zeros(1, np.float32)})


def test_yaml_is_written_and_never_read(tmp_path, mark):
    """``!!python/object/apply`` in an MLmodel file: our own reader knows no tags, and no other one is imported."""
    for path in SOURCES:
        names = {alias.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Import)
                 for alias in node.names}  # fmt: skip
        assert not names & {"yaml", "ruamel"}, path
    files = {name: Path(path) for name, path in save_model(tmp_path / "model").items()}
    files["MLmodel"] = tmp_path / "MLmodel"
    files["MLmodel"].write_text(f"flavors: !!python/object/apply:os.mkdir ['{mark}']\n")
    assert load_predictor(files, seal=SEAL).format == "onnx"


def test_tables_hold_no_objects(tmp_path, mark):
    """Python objects neither go into a stored table nor come out of one."""
    from mainspring.tracking.codecs import find_codec

    frame = pl.DataFrame({"a": pl.Series([Trap(mark)], dtype=pl.Object)})
    assert find_codec(frame).name == "sealed"
    path = tmp_path / "rows.parquet"
    path.write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(Invalid, match="DATA-003"):
        mainspring.source(str(path)).read()
