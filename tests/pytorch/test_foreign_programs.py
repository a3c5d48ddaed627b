"""Programs and folders that come from elsewhere: read as data, or refused before PyTorch has seen them."""

import io
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mainspring.domain.errors import Denied, Invalid
from mainspring.models.adapters.torch import TorchFlavor
from mainspring.models.folders import list_files, package_folder
from mainspring.models.package import build_package

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]  # MLflow warns when it is imported


def make_net() -> object:
    torch.manual_seed(6)
    return torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)).eval()


def export(net: object) -> bytes:
    rows = torch.export.Dim.DYNAMIC
    program = torch.export.export(net, (torch.zeros(5, 2),), dynamic_shapes=[{0: rows}])
    written = io.BytesIO()
    torch.export.save(program, written)
    return written.getvalue()


def rewrite(content: bytes, name: str, change: object) -> bytes:
    """Return the archive with one record changed."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(written, "w") as new:
        for each in old.namelist():
            new.writestr(each, change(old.read(each)) if each.endswith(name) else old.read(each))
    return written.getvalue()


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return Path.mkdir, (Path(self.path),)


def call_the_shell(mark: Path) -> object:
    """Return a change of a graph: its first operator is ``torch.os.mkdir``, its input the name of a folder."""

    def change(content: bytes) -> bytes:
        program = json.loads(content)
        node = program["graph_module"]["graph"]["nodes"][0]
        node["target"] = "torch.os.mkdir"
        node["inputs"] = [{"name": "", "arg": {"as_string": str(mark)}, "kind": 1}]
        return json.dumps(program).encode()

    return change


def test_what_could_run_within_pytorch_is_refused(tmp_path: Path) -> None:
    whole, mark = export(make_net()), tmp_path / "mark"
    weights = "data/weights/model_weights_config.json"
    made = f"__import__('os').mkdir('{mark}')".encode()
    trapped = {
        "operator": rewrite(whole, "models/model.json", call_the_shell(mark)),
        "weight": rewrite(
            rewrite(whole, "data/weights/weight_0", lambda _: pickle.dumps(Trap(mark))),
            weights,
            lambda told: told.replace(b'"use_pickle": false', b'"use_pickle": true', 1),
        ),
        "size": rewrite(whole, "model.json", lambda told: re.sub(rb"Symbol\('s\d+'[^)]*\)", made, told)),
    }
    for content in trapped.values():
        with pytest.raises(Invalid) as caught:
            TorchFlavor().load(content)
        assert caught.value.code == "MODEL-010"
    assert not mark.exists()


def test_sample_inputs_are_never_opened(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    content = rewrite(export(make_net()), "sample_inputs/model.pt", lambda _: pickle.dumps(Trap(mark)))
    program = TorchFlavor().load(content)
    assert not mark.exists()
    package = build_package(program, {"a": np.arange(20.0), "b": np.ones(20)})
    assert package.parity.passed, str(package.parity)


def test_a_folder_of_mlflow_is_read_and_converted(tmp_path: Path) -> None:
    import mlflow.pytorch
    from mlflow.models import infer_signature

    net, rows = make_net(), np.random.default_rng(6).normal(size=(30, 2)).astype(np.float32)
    told = infer_signature(rows, rows[:, :1])
    mlflow.pytorch.save_model(net, tmp_path / "model", signature=told, input_example=rows, pip_requirements=["torch"])
    package = package_folder(list_files(tmp_path / "model"))
    assert package.format == "onnx"
    assert [each.name for each in package.signature.inputs] == ["x0", "x1"]
    for name, content in package.files.items():
        (tmp_path / name).write_bytes(content)
    ours = {name: tmp_path / name for name in package.files}
    assert package_folder(ours).files["model.pt2"] == package.files["model.pt2"]


def test_pickles_of_mlflow_stay_closed(tmp_path: Path) -> None:
    import mlflow.pytorch

    mlflow.pytorch.save_model(make_net(), tmp_path / "model", serialization_format="pickle", pip_requirements=["torch"])
    files = list_files(tmp_path / "model")
    with pytest.raises(Denied) as caught:
        package_folder(files, example={"a": [1.0], "b": [2.0]})
    assert caught.value.code == "MODEL-061"
    assert "allow_code=True" in caught.value.fix
    with pytest.raises(Denied):  # where code cannot be kept, a word for it opens nothing
        package_folder(files, example={"a": [1.0], "b": [2.0]}, allow_code=True)
