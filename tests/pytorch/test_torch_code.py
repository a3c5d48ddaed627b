"""What PyTorch cannot export, and what MLflow has pickled: kept as code, and served by a process of its own."""

import numpy as np
import pytest
from tests.support.serving import wait_for_planes

import mainspring as ms
from mainspring.domain.errors import Denied, Invalid
from mainspring.domain.messages import StopService
from mainspring.models.package import build_package

torch = pytest.importorskip("torch")
pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.torch

NAMES = ["price", "weight", "count"]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(3, 1)

    def forward(self, x):
        return self.last(x)


class Branches(Net):
    """Its path follows what it is given, so it has no graph."""

    def forward(self, x):
        answer = self.last(x)
        return answer if float(x.sum()) > 0 else -answer


def make_rows(rows=40):
    rng = np.random.default_rng(5)
    return {name: rng.gamma(2.0, 3.0, rows).astype(np.float32) for name in NAMES}


def ask_module(module, rows):
    with torch.inference_mode():
        return module.eval()(torch.as_tensor(np.column_stack(list(rows.values()))))[:, 0].numpy()


def ask_service(client, name, reference, rows):
    service = ms.deploy(name, reference)
    try:
        given = [dict(zip(rows, map(float, each), strict=True)) for each in zip(*rows.values(), strict=True)]
        return np.array(service.predict(given)["value"], dtype=np.float64).ravel()
    finally:
        client.ask(StopService(name))
        wait_for_planes(client.home)


def test_a_module_is_served_from_its_graph(client):
    torch.manual_seed(1)
    net, rows = Net(), make_rows()
    model = ms.register(net, "net", example=rows)
    assert model.details["format"] == "onnx"
    assert np.allclose(ask_service(client, "graph", "net@1", rows), ask_module(net, rows), rtol=0, atol=1e-5)


def test_a_module_without_a_graph_is_kept_as_code_and_served(client):
    torch.manual_seed(2)
    net, rows = Branches(), make_rows()
    with pytest.raises(Invalid, match="Branches cannot be exported") as caught:
        ms.register(net, "branches", example=rows)
    assert "allow_code=True" in caught.value.fix
    model = ms.register(net, "branches", example=rows, allow_code=True)
    assert model.details["format"] == "sealed"
    wanted = ask_module(net, rows)
    assert np.allclose(model.predict(rows)["value"].to_numpy(), wanted, rtol=0, atol=1e-6)
    assert np.allclose(ask_service(client, "code", "branches@1", rows), wanted, rtol=0, atol=1e-6)


@pytest.fixture
def folders(tmp_path):
    """Folders that MLflow wrote, and what its pyfunc answers."""
    import mlflow
    from mlflow.models import infer_signature

    class Doubled(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            from pathlib import Path

            self.factor = float(Path(context.artifacts["factor"]).read_text())

        def predict(self, context, model_input, params=None):
            return model_input["price"] * self.factor + model_input["count"]

    class Pickled(torch.nn.Module):
        """Travels by its content, as a module of a notebook does."""

        def __init__(self):
            super().__init__()
            self.last = torch.nn.Linear(3, 1)

        def forward(self, x):
            return self.last(x)

    rows = pd.DataFrame(make_rows())
    (tmp_path / "factor").write_text("2.5")
    torch.manual_seed(3)
    signature = infer_signature(rows, rows["price"])
    options = {"signature": signature, "pip_requirements": []}
    artifacts = {"factor": str(tmp_path / "factor")}
    mlflow.pyfunc.save_model(tmp_path / "function", python_model=Doubled(), artifacts=artifacts, **options)
    mlflow.pytorch.save_model(Pickled(), tmp_path / "pickled", serialization_format="pickle", **options)
    return {
        name: (tmp_path / name, np.asarray(mlflow.pyfunc.load_model(str(tmp_path / name)).predict(rows)).ravel())
        for name in ("function", "pickled")
    }


@pytest.mark.timeout(900)  # MLflow is imported by several processes, one after the other
@pytest.mark.filterwarnings("ignore")  # MLflow warns of itself
def test_folders_that_only_mlflow_opens_are_kept_as_code_and_served(client, folders):
    rows = make_rows()
    for name, (folder, wanted) in folders.items():
        with pytest.raises(Denied, match="MODEL-061"):
            ms.register(folder, name, example=rows)
        model = ms.register(folder, name, example=rows, allow_code=True)
        assert model.details["format"] == "sealed"
        assert [each.name for each in model.signature.inputs] == NAMES
        assert np.allclose(model.predict(rows)["value"].to_numpy(), wanted, rtol=0, atol=1e-6)
        assert np.allclose(ask_service(client, f"{name}s", f"{name}@1", rows), wanted, rtol=0, atol=1e-6)
        assert ms.register(folder, name, example=rows, allow_code=True).version.number == 1


@pytest.mark.filterwarnings("ignore")  # MLflow warns of itself
def test_mlflow_opens_a_module_by_its_onnx_form(tmp_path):
    import mlflow

    torch.manual_seed(4)
    net, rows = Net(), make_rows()
    for name, content in build_package(net, rows).files.items():
        (tmp_path / name).write_bytes(content)
    answer = mlflow.pyfunc.load_model(str(tmp_path)).predict(pd.DataFrame(rows))
    assert np.allclose(answer["value"], ask_module(net, rows), rtol=0, atol=1e-5)
