"""PyTorch modules keep their answers: written without a pickle, read back, and as ONNX."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mainspring.domain.errors import Invalid
from mainspring.models.adapters.torch import TorchFlavor
from mainspring.models.flavors import find_flavor
from mainspring.models.package import build_package
from mainspring.models.runtime import load_predictor
from mainspring.testing.flavors import FlavorContract

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

COLUMNS = ["price", "weight", "count", "gift"]


def make_rows(rows: int = 400, seed: int = 7) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "price": rng.gamma(2.0, 3.0, rows),
            "weight": rng.normal(size=rows).astype(np.float32),
            "count": rng.integers(0, 9, rows),
            "gift": rng.random(rows) < 0.3,
        }
    )


class Perceptron(torch.nn.Module):
    """One matrix in, one number out; with what answers otherwise while it learns."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8)
        self.drop, self.last = torch.nn.Dropout(), torch.nn.Linear(8, 1)

    def forward(self, x):
        return self.last(self.drop(torch.relu(self.norm(self.first(x)))))


class Classifier(Perceptron):
    """A label and the probability of the second of two classes."""

    def forward(self, x):
        share = torch.sigmoid(super().forward(x))
        return {"label": (share[:, 0] > 0.5).long(), "probability": share[:, 0]}


class ThreeClasses(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(4, 3)

    def forward(self, x):
        shares = torch.softmax(self.last(x), dim=1)
        return {"label": shares.argmax(dim=1), "probability": shares}


class TwoInputs(torch.nn.Module):
    """Columns by the names of its arguments: one is looked up, one is a number."""

    def __init__(self):
        super().__init__()
        self.shops, self.last = torch.nn.Embedding(9, 3), torch.nn.Linear(4, 1)

    def forward(self, count, weight):
        return self.last(torch.cat([self.shops(count), weight.unsqueeze(1)], dim=1)).squeeze(1)


class Words(torch.nn.Module):
    """Numbers of words, and attention over them."""

    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(20, 8)
        self.attention = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.last = torch.nn.Linear(8, 2)

    def forward(self, ids):
        return self.last(self.attention(self.words(ids)).mean(dim=1))


class Branches(torch.nn.Module):
    """Its path follows what it is given, so it has no graph."""

    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(4, 1)

    def forward(self, x):
        return self.last(x) if x.sum() > 0 else -self.last(x)


def trace(model: object, rows: pl.DataFrame) -> object:
    return TorchFlavor().trace(model, {name: rows[name].to_numpy() for name in rows.columns})


class TestTorch(FlavorContract):
    @pytest.fixture
    def flavor(self):
        return TorchFlavor()

    @pytest.fixture
    def rows(self):
        return make_rows()

    @pytest.fixture
    def model(self, rows):
        torch.manual_seed(1)
        return trace(Classifier(), rows)


@pytest.mark.parametrize(
    ("kind", "columns", "outputs"),
    [
        (Perceptron, COLUMNS, [("value", "FP32", 1)]),
        (Classifier, COLUMNS, [("label", "INT64", 1), ("probability", "FP32", 1)]),
        (ThreeClasses, COLUMNS, [("label", "INT64", 1), ("probability", "FP32", 3)]),
        (TwoInputs, ["count", "weight"], [("value", "FP32", 1)]),
    ],
)
def test_modules_are_kept_and_answer_from_onnx(kind, columns, outputs, tmp_path: Path) -> None:
    torch.manual_seed(2)
    module, rows = kind(), make_rows()
    assert find_flavor(module).name == "torch"
    package = build_package(module, rows)
    assert package.parity.passed, str(package.parity)
    assert package.format == "onnx"
    assert [each.name for each in package.signature.inputs] == columns
    assert not any(each.nullable for each in package.signature.inputs)
    assert [(each.name, each.datatype, each.width) for each in package.signature.outputs] == outputs
    assert set(package.files) >= {"model.pt2", "model.onnx", "MLmodel", "signature.json", "example.json"}
    assert module.training
    for name, content in package.files.items():
        (tmp_path / name).write_bytes(content)
    files = {name: tmp_path / name for name in package.files}
    fast, native = load_predictor(files), load_predictor({n: p for n, p in files.items() if n != "model.onnx"})
    assert (fast.format, native.format) == ("onnx", "torch")
    checked = package.signature.check({name: rows[name].to_numpy() for name in columns})
    for name, values in native.predict(checked).items():
        assert np.abs(values - fast.predict(checked)[name]).max() <= 1e-5


def test_numbers_of_words_go_in_as_whole_numbers() -> None:
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    package = build_package(Words(), {f"w{place}": rng.integers(0, 20, 300) for place in range(6)})
    assert package.parity.passed, str(package.parity)
    assert [(each.name, each.width) for each in package.signature.outputs] == [("value", 2)]


def test_equal_modules_have_equal_files_that_tell_nothing_of_this_machine() -> None:
    def make() -> dict[str, bytes]:
        torch.manual_seed(4)
        return build_package(Perceptron(), make_rows()).files

    first, second = make(), make()
    assert first == second
    assert not [name for name, content in first.items() if Path(__file__).name.encode() in content]
    assert not [name for name, content in first.items() if b"Perceptron" in content]


def test_what_has_no_graph_is_refused_with_the_reason() -> None:
    with pytest.raises(Invalid, match="Branches cannot be exported") as caught:
        build_package(Branches(), make_rows())
    assert caught.value.code == "MODEL-002"
    assert "allow_code=True" in caught.value.fix
    with pytest.raises(Invalid, match=r"with the columns price, weight, count: .*3"):
        build_package(Perceptron(), make_rows().drop("gift"))
