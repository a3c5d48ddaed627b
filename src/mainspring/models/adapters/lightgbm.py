"""LightGBM models, written as the booster's own text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mainspring.domain.errors import Invalid, Unavailable
from mainspring.models.adapters.lightgbm_text import check_text
from mainspring.models.columns import Array
from mainspring.models.flavors import keep_json
from mainspring.models.signature import Column, Signature
from mainspring.models.trees import Forest, Link, Tree

_OBJECTIVES: dict[str, Link] = {
    "binary": "logistic",
    "multiclass": "softmax",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
}
# Bits of LightGBM's decision type.
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
_MISSING_NONE, _MISSING_ZERO = 0, 1
# LightGBM reads numbers no larger than this as zero.
_ZERO = float(np.float32(1e-35))


class LightgbmFlavor:
    """The flavor of boosters, and of LightGBM's estimators whose classes are 0, 1, ..."""

    name = "lightgbm"
    file = "model.lgb.txt"

    def supports(self, model: Any) -> bool:
        """Tell whether `model` is a booster or an estimator that a booster's text holds whole."""
        kind = type(model)
        if not kind.__module__.startswith("lightgbm."):
            return False
        classes = getattr(model, "classes_", None)
        return kind.__name__ == "Booster" or classes is None or list(classes) == list(range(len(classes)))

    def features(self, model: Any) -> tuple[str, ...] | None:
        """Return the names of the booster's columns, unless LightGBM invented them."""
        names = tuple(_get_booster(model).feature_name())
        return None if all(name == f"Column_{number}" for number, name in enumerate(names)) else names

    def outputs(self, model: Any) -> tuple[Column, ...]:
        """Return ``label`` and ``probability`` by the booster's objective, else ``value``."""
        header = _read_header(_get_booster(model).model_to_string())
        link = _OBJECTIVES.get(header.get("objective", "").split(" ")[0])
        classes = {"logistic": 2, "softmax": int(header["num_class"])}.get(link or "")
        if classes is None:
            return (Column("value", "FP32"),)
        return (Column("label", "INT64"), Column("probability", "FP32", width=1 if classes == 2 else classes))

    def categories(self, model: Any) -> dict[str, tuple[str, ...]]:
        """Return nothing: a booster takes numbers."""
        del model
        return {}

    def params(self, model: Any) -> dict[str, Any]:
        """Return the parameters of training that are JSON values."""
        return keep_json(model.get_params() if hasattr(model, "get_params") else model.params)

    def distributions(self, model: Any) -> tuple[str, ...]:
        """Return LightGBM and NumPy."""
        del model
        return ("lightgbm", "numpy")

    def save(self, model: Any) -> bytes:
        """Write the booster's text."""
        text: str = _get_booster(model).model_to_string()
        return text.encode()

    def tell_mlflow(self, content: bytes, environment: Mapping[str, str]) -> dict[str, Any]:
        """Return that it is the text of a booster."""
        del content
        return {
            "data": self.file,
            "model_class": "lightgbm.basic.Booster",
            "lgb_version": environment.get("lightgbm", ""),
        }

    def load(self, content: bytes) -> Any:
        """Read a booster's text, once it was checked."""
        lightgbm = _import_lightgbm()
        try:
            return lightgbm.Booster(model_str=check_text(content))
        except (ValueError, lightgbm.basic.LightGBMError) as fault:
            raise Invalid("MODEL-010", f"{self.file} cannot be read: {fault}") from None

    def predict(self, model: Any, columns: Mapping[str, Array], signature: Signature) -> dict[str, Array]:
        """Ask the booster with a matrix of float64."""
        matrix = np.column_stack([columns[each.name].astype(np.float64) for each in signature.inputs])
        given = np.asarray(_get_booster(model).predict(matrix, num_threads=1))
        if signature.outputs[0].name == "value":
            return {"value": given}
        labels = given.argmax(axis=1) if given.ndim == 2 else given > 0.5
        return {"label": labels.astype(np.int64), "probability": given}

    def convert(self, model: Any, signature: Signature) -> bytes:
        """Convert by our own operators."""
        from mainspring.models.adapters.skl2onnx import convert

        forest = read_forest(_get_booster(model).model_to_string())
        count = {"logistic": 2, "softmax": len(forest.start)}.get(forest.link)
        return convert(None, model, signature, forest=forest, classes=None if count is None else np.arange(count))


def read_forest(text: str) -> Forest:
    """Read the trees out of a booster's text.

    Raises
    ------
    ValueError
        The text has something that ONNX has no operator for: categorical splits, linear
        leaves, zeros as missing values, an objective without a known link.

    Notes
    -----
    Source: ``Tree::ToString`` and ``Tree::NumericalDecision`` of LightGBM 4. Where a split saw
    no missing value in training, LightGBM reads NaN as 0.
    """
    header = _read_header(text)
    objective, *settings = header.get("objective", "").split(" ")
    if objective not in _OBJECTIVES or "average_output" in header or "sqrt" in settings:
        raise ValueError(f"objective {objective!r} has no ONNX form here")
    sums = int(header["num_tree_per_iteration"])
    scale = next((float(each.partition(":")[2]) for each in settings if each.startswith("sigmoid:")), 1.0)
    blocks = text.split("\nTree=")[1:]
    trees = [_read_tree(_read_fields(block), number % sums) for number, block in enumerate(blocks)]
    return Forest(trees, np.zeros(sums), _OBJECTIVES[objective], scale)


def _read_header(text: str) -> dict[str, str]:
    return _read_fields(text.partition("\nTree=")[0])


def _read_fields(block: str) -> dict[str, str]:
    return {key: value for key, _, value in (line.partition("=") for line in block.split("\n"))}


def _read_tree(fields: dict[str, str], target: int) -> Tree:
    def numbers(key: str, kind: Any) -> Any:
        return np.array(fields.get(key, "").split(), dtype=kind)

    if fields.get("is_linear", "0") != "0":
        raise ValueError("linear leaves have no ONNX form")
    values = numbers("leaf_value", np.float64)
    inner = len(values) - 1
    threshold, decision = numbers("threshold", np.float64), numbers("decision_type", np.int64)
    missing = decision >> _MISSING_SHIFT & 3
    if np.any(decision & _CATEGORICAL) or np.any(missing == _MISSING_ZERO):
        raise ValueError("categorical splits and zeros as missing values have no ONNX form: code categories as numbers")
    near = np.abs(threshold) <= _ZERO
    threshold = np.where(near, np.where(threshold < 0, np.nextafter(-_ZERO, -1.0), _ZERO), threshold)
    nan_left = np.where(missing == _MISSING_NONE, threshold >= 0, decision & _DEFAULT_LEFT > 0)

    def place(child: Any) -> Any:  # leaves have negative numbers; here they follow the inner nodes
        return np.concatenate([np.where(child >= 0, child, inner + ~child), np.zeros(inner + 1, np.int64)])

    pad = np.zeros(inner + 1)
    return Tree(
        leaf=np.arange(2 * inner + 1) >= inner,
        feature=np.concatenate([numbers("split_feature", np.int64), pad.astype(np.int64)]),
        threshold=np.concatenate([threshold, pad]),
        nan_left=np.concatenate([nan_left.astype(bool), pad.astype(bool)]),
        left=place(numbers("left_child", np.int64)),
        right=place(numbers("right_child", np.int64)),
        value=np.concatenate([np.zeros(inner), values]),
        target=target,
    )


def _get_booster(model: Any) -> Any:
    return getattr(model, "booster_", model)


def _import_lightgbm() -> Any:
    try:
        import lightgbm
    except (ImportError, OSError) as fault:
        raise Unavailable(
            "MODEL-011",
            f"lightgbm cannot be imported: {fault}",
            fix="pip install 'mainspring[lightgbm]'; apt install libgomp1",
        ) from None
    return lightgbm
