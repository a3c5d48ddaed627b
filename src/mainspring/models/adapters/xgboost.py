"""XGBoost models, written as the booster's own UBJSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mainspring.domain.errors import Invalid, Unavailable
from mainspring.models.columns import Array
from mainspring.models.flavors import keep_json
from mainspring.models.signature import Column, Signature
from mainspring.models.trees import Forest, Link, Tree
from mainspring.models.ubjson import read_ubjson

# Objective -> what follows the sums.
_LINKS: dict[str, Link] = {
    "binary:logistic": "logistic",
    "binary:hinge": "logistic",
    "binary:logitraw": "identity",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "reg:squarederror": "identity",
    "reg:squaredlogerror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity",
    "reg:logistic": "logistic",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
    "count:poisson": "exp",
    "survival:cox": "exp",
}
# Objectives whose file says the base score as a probability, and which of them answer labels.
_PROBABILITIES = frozenset({"binary:logistic", "reg:logistic"})
_CLASSES = frozenset({"binary:logistic", "binary:hinge", "multi:softprob", "multi:softmax"})
_LABELS_ONLY = frozenset({"binary:hinge", "multi:softmax"})
_NODE_ARRAYS = (
    "base_weights",
    "default_left",
    "left_children",
    "loss_changes",
    "parents",
    "right_children",
    "split_conditions",
    "split_indices",
    "split_type",
    "sum_hessian",
)
# What a root, or a node that pruning took away, has for its parent.
_NOBODY = 2**31 - 1


class XgboostFlavor:
    """The flavor of boosters, and of XGBoost's estimators."""

    name = "xgboost"
    file = "model.ubj"

    def supports(self, model: Any) -> bool:
        """Tell whether `model` is a booster, or an estimator around one."""
        kind = type(model)
        return kind.__module__.startswith("xgboost.") and (kind.__name__ == "Booster" or hasattr(model, "get_booster"))

    def features(self, model: Any) -> tuple[str, ...] | None:
        """Return the names of the booster's columns, if it was given any."""
        names = _get_booster(model).feature_names
        return None if names is None else tuple(names)

    def outputs(self, model: Any) -> tuple[Column, ...]:
        """Return ``label`` and ``probability`` by the booster's objective, else ``value``."""
        objective, classes = _read_task(json.loads(_get_booster(model).save_raw("json")))
        if objective not in _CLASSES:
            return (Column("value", "FP32"),)
        if objective in _LABELS_ONLY:
            return (Column("label", "INT64"),)
        return (Column("label", "INT64"), Column("probability", "FP32", width=1 if classes == 2 else classes))

    def categories(self, model: Any) -> dict[str, tuple[str, ...]]:
        """Return nothing: a booster takes numbers."""
        del model
        return {}

    def params(self, model: Any) -> dict[str, Any]:
        """Return an estimator's parameters that are JSON values; of a booster, its objective."""
        if not hasattr(model, "get_params"):
            return {"objective": _read_task(json.loads(model.save_raw("json")))[0]}
        return {name: value for name, value in keep_json(model.get_params()).items() if value is not None}

    def distributions(self, model: Any) -> tuple[str, ...]:
        """Return XGBoost, by the name under which it was installed, and NumPy."""
        del model
        return ("xgboost", "xgboost-cpu", "numpy")

    def save(self, model: Any) -> bytes:
        """Write the booster's UBJSON.

        Raises
        ------
        Invalid
            MODEL-002 for several targets, and for categories that are texts.
        """
        content = bytes(_get_booster(model).save_raw("ubj"))
        try:
            _check(read_ubjson(content))
        except ValueError as fault:
            raise Invalid("MODEL-002", f"this {type(model).__name__} cannot be kept: {fault}") from None
        return content

    def tell_mlflow(self, content: bytes, environment: Mapping[str, str]) -> dict[str, Any]:
        """Return that it is the UBJSON of a booster; as an estimator it would answer labels, whatever it was."""
        del content
        return {
            "data": self.file,
            "model_class": "xgboost.core.Booster",
            "model_format": "ubj",
            "xgb_version": environment.get("xgboost-cpu", environment.get("xgboost", "")),
        }

    def load(self, content: bytes) -> Any:
        """Read a booster's UBJSON, or its JSON, after each tree in it was checked."""
        xgboost = _import_xgboost()
        try:
            _check(read_document(content))
            booster = xgboost.Booster({"nthread": 1})
            booster.load_model(bytearray(content))
        except (ValueError, KeyError, TypeError, xgboost.core.XGBoostError) as fault:
            text = str(fault).partition("\n")[0]
            raise Invalid("MODEL-010", f"{self.file} is no booster: {text}") from None
        return booster

    def predict(self, model: Any, columns: Mapping[str, Array], signature: Signature) -> dict[str, Array]:
        """Ask the booster with a matrix, which it reads as float32."""
        xgboost = _import_xgboost()
        matrix = np.column_stack([columns[each.name].astype(np.float64) for each in signature.inputs])
        booster = _get_booster(model)
        rows = xgboost.DMatrix(
            matrix, feature_types=booster.feature_types, enable_categorical=True, missing=np.nan, nthread=1
        )
        given = np.asarray(booster.predict(rows, validate_features=False))
        if signature.outputs[0].name == "value":
            return {"value": given}
        if len(signature.outputs) == 1:
            return {"label": given.astype(np.int64)}
        labels = given.argmax(axis=1) if given.ndim == 2 else given > 0.5
        return {"label": labels.astype(np.int64), "probability": given}

    def convert(self, model: Any, signature: Signature) -> bytes:
        """Convert by our own operators."""
        from mainspring.models.adapters.skl2onnx import convert

        objective, classes = _read_task(json.loads(_get_booster(model).save_raw("json")))
        labels = np.arange(classes) if objective in _CLASSES else None
        return convert(None, model, signature, forest=read_booster(model), classes=labels)


def read_document(content: bytes) -> Any:
    """Return what a booster's file says, as UBJSON or as JSON; ValueError for anything else."""
    return json.loads(content) if content[:2] == b'{"' else read_ubjson(content)


def read_booster(model: Any) -> Forest:
    """Read the trees of a booster or an estimator; ValueError as of `read_forest`."""
    return read_forest(json.loads(_get_booster(model).save_raw("json")))


def read_forest(document: Any) -> Forest:
    """Read the trees out of what a booster's file says.

    Raises
    ------
    ValueError
        It has something that ONNX has no operator for: categorical splits, linear boosters, an
        objective without a known link, ranking among them.

    Notes
    -----
    Source: ``RegTree::SaveModel`` and ``LearnerModelParam`` of XGBoost 1.7 to 3.4. A row goes left when its value,
    rounded to float32, is less than the threshold. The base score of several classes is a list
    since 3.1, and one number for all before.
    """
    learner = document["learner"]
    objective, classes = _read_task(document)
    if objective not in _LINKS:
        raise ValueError(f"objective {objective!r} has no ONNX form here")
    model, weights = _find_model(learner)
    if model is None:
        raise ValueError("a linear booster has no ONNX form here: train with booster='gbtree'")
    link = _LINKS[objective]
    sums = classes if link == "softmax" else 1
    start = np.broadcast_to(_read_base_score(learner), sums).astype(np.float64)
    if objective in _PROBABILITIES:
        start = np.log(start / (1.0 - start))
    elif link == "exp":
        start = np.log(start)
    trees = [
        _read_tree(tree, int(target), weight)
        for tree, target, weight in zip(model["trees"], model["tree_info"], weights, strict=True)
    ]
    return Forest(trees, start, link, single=True)


def _read_task(document: Any) -> tuple[str, int]:
    """Return the objective's name, and the number of classes, 2 when the objective has one sum."""
    learner = document["learner"]
    return str(learner["objective"]["name"]), max(2, int(learner["learner_model_param"]["num_class"]))


def _find_model(learner: Any) -> tuple[Any, list[float]]:
    """Return the part that holds the trees and a weight for each; None for a linear booster."""
    booster = learner["gradient_booster"]
    if booster["name"] == "gblinear":
        return None, []
    if booster["name"] == "dart":
        return booster["gbtree"]["model"], [float(each) for each in booster["weight_drop"]]
    return booster["model"], [1.0] * len(booster["model"]["trees"])


def _read_base_score(learner: Any) -> Array:
    text = str(learner["learner_model_param"]["base_score"]).strip("[]")
    return np.array([float(each) for each in text.split(",")], dtype=np.float32)


def _read_tree(tree: Any, target: int, weight: float) -> Tree:
    if np.any(tree.get("split_type", ())):
        raise ValueError("categorical splits have no ONNX form: code categories as numbers")
    left = np.asarray(tree["left_children"], dtype=np.int64)
    # What is the threshold of a branch is the value of a leaf.
    numbers = np.asarray(tree["split_conditions"], dtype=np.float32)
    return Tree(
        leaf=left < 0,
        feature=np.asarray(tree["split_indices"], dtype=np.int64),
        threshold=np.nextafter(numbers, np.float32(-np.inf)).astype(np.float64),
        nan_left=np.asarray(tree["default_left"]).astype(bool),
        left=left,
        right=np.asarray(tree["right_children"], dtype=np.int64),
        value=numbers.astype(np.float64) * weight,
        target=target,
    )


def _check(document: Any) -> None:
    """Raise ValueError for what XGBoost would follow out of its arrays, and for what is not kept."""
    learner = document["learner"]
    settings = learner["learner_model_param"]
    features, targets = int(settings["num_feature"]), int(settings.get("num_target", "1"))
    if targets > 1:
        raise ValueError(f"it predicts {targets} targets at once")
    model, weights = _find_model(learner)
    if model is None:
        wanted = (features + 1) * max(1, int(settings["num_class"]))
        if len(learner["gradient_booster"]["model"]["weights"]) != wanted:
            raise ValueError(f"its weights are not {wanted:,}")
        return
    if len(model.get("cats", {}).get("enc", ())):
        raise ValueError("its categories are texts: put an OrdinalEncoder before it, in a Pipeline")
    trees, sums = model["trees"], max(1, int(settings["num_class"]))
    info = np.asarray(model["tree_info"], dtype=np.int64)
    stated = int(model["gbtree_model_param"]["num_trees"])
    if not len(trees) == len(weights) == len(info) == stated or np.any((info < 0) | (info >= sums)):
        raise ValueError("its list of trees does not fit them")
    rounds = np.asarray(model.get("iteration_indptr", (0, stated)), dtype=np.int64)
    if len(rounds) == 0 or rounds[0] != 0 or rounds[-1] != stated or np.any(np.diff(rounds) < 0):
        raise ValueError("its rounds do not fit its trees")
    for number, tree in enumerate(trees):
        if not _is_tree(tree, features):
            raise ValueError(f"tree {number:,} is none")


def _is_tree(tree: Any, features: int) -> bool:
    nodes = int(tree["tree_param"]["num_nodes"])
    arrays = {name: np.asarray(tree[name]) for name in _NODE_ARRAYS}
    if nodes < 1 or any(each.shape != (nodes,) for each in arrays.values()):
        return False
    left, right, parents = (arrays[name].astype(np.int64) for name in ("left_children", "right_children", "parents"))
    inner = left != -1
    children = np.concatenate([left[inner], right[inner]])
    if np.any((children <= 0) | (children >= nodes)) or np.bincount(children, minlength=1).max() > 1:
        return False
    # Every node has one parent at most and the root none, so that no walk, up or down, is a circle.
    stated = np.full(nodes, _NOBODY)
    stated[children] = np.tile(np.flatnonzero(inner), 2)
    tested = arrays["split_indices"][inner]
    return (
        bool(np.all((parents == stated) | (parents == _NOBODY)))
        and bool(np.all((tested >= 0) & (tested < features)))
        and _has_its_categories(tree, nodes)
    )


def _has_its_categories(tree: Any, nodes: int) -> bool:
    categories, splits = np.asarray(tree["categories"]), np.asarray(tree["categories_nodes"])
    starts, sizes = np.asarray(tree["categories_segments"]), np.asarray(tree["categories_sizes"])
    if not len(starts) == len(sizes) == len(splits) == np.count_nonzero(tree.get("split_type", ())):
        return False
    return bool(
        np.all((splits >= 0) & (splits < nodes))
        and np.all((starts >= 0) & (sizes >= 0) & (starts + sizes <= len(categories)))
        and np.all((categories >= 0) & (categories < 1 << 24))
    )


def _get_booster(model: Any) -> Any:
    """Return the booster; of an estimator that stopped early, as far as the best round."""
    if not hasattr(model, "get_booster"):
        return model
    booster, best = model.get_booster(), getattr(model, "early_stopping_rounds", None)
    return booster if best is None else booster[: model.best_iteration + 1]


def _import_xgboost() -> Any:
    try:
        import xgboost
    except (ImportError, OSError) as fault:
        raise Unavailable(
            "MODEL-011",
            f"xgboost cannot be imported: {fault}",
            fix="pip install 'mainspring[xgboost]'; apt install libgomp1",
        ) from None
    return xgboost
