"""scikit-learn estimators and pipelines, written with skops."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mainspring.domain.errors import Invalid, Unavailable
from mainspring.models.columns import Array
from mainspring.models.flavors import keep_json
from mainspring.models.signature import Column, Signature
from mainspring.models.trees import Forest, Link, Tree

# Types beyond those that skops trusts by itself. The list is ours: what a file names is never
# trusted because the file names it.
_TRUSTED = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRegressor",
    }
)

_SHARED_BY_CHANCE = frozenset({"JsonNode", "TypeNode"})

_LABELS: dict[str, Any] = {"BYTES": object, "INT64": np.int64}


class SklearnFlavor:
    """The flavor of everything that has scikit-learn's ``predict`` and is made of known types."""

    name = "sklearn"
    file = "model.skops"

    def supports(self, model: Any) -> bool:
        """Tell whether `model` is scikit-learn's and can predict; XGBoost's have a flavor of their own."""
        known = any(
            kind.__module__ == "sklearn.base" and kind.__name__ == "BaseEstimator" for kind in type(model).__mro__
        )
        return known and hasattr(model, "predict") and not type(model).__module__.startswith("xgboost.")

    def features(self, model: Any) -> tuple[str, ...] | None:
        """Return the columns of the frame that the model was fitted on, without those it drops."""
        names = getattr(model, "feature_names_in_", None)
        if names is None or _is_bare_lightgbm_matrix(model, names):
            return None
        used = _find_used_columns(model)
        return tuple(str(name) for name in names if used is None or name in used)

    def outputs(self, model: Any) -> tuple[Column, ...]:
        """Return ``label`` and ``probability`` of a classifier, ``value`` of a regressor."""
        classes = _read_classes(model)
        if classes is None:
            return (Column("value", "FP32"),)
        label = Column("label", "BYTES" if classes.dtype == object else "INT64")
        if not hasattr(model, "predict_proba"):
            return (label,)
        return (label, Column("probability", "FP32", width=1 if len(classes) == 2 else len(classes)))

    def categories(self, model: Any) -> dict[str, tuple[str, ...]]:
        """Return the levels of the text columns that encoders of the first step were fitted on."""
        steps, _ = _split(model)
        first = steps.steps[0][1] if steps is not None else None
        found: dict[str, tuple[str, ...]] = {}
        for _, encoder, names in getattr(first, "transformers_", ()):
            for name, levels in zip(names, getattr(encoder, "categories_", ()), strict=False):
                if all(isinstance(level, str | None) for level in levels):
                    found[str(name)] = tuple(level for level in levels if level is not None)
        return found

    def params(self, model: Any) -> dict[str, Any]:
        """Return the estimator's parameters that are JSON values; of a pipeline, its last step's."""
        return keep_json(_split(model)[1].get_params(deep=False))

    def distributions(self, model: Any) -> tuple[str, ...]:
        """Return scikit-learn and what reads and feeds it, and the library of a pipeline's last step."""
        library = type(_split(model)[1]).__module__.partition(".")[0]
        own = {"lightgbm": ("lightgbm",), "xgboost": ("xgboost", "xgboost-cpu")}.get(library, ())
        return ("scikit-learn", "skops", "numpy", "polars", *own)

    def save(self, model: Any) -> bytes:
        """Write with skops; MODEL-002 names the types that are not on the allow-list."""
        skops = _import_skops()
        try:
            content: bytes = skops.dumps(model)
            untrusted = sorted(set(skops.get_untrusted_types(data=content)) - _TRUSTED)
        except Exception as fault:  # noqa: BLE001  skops raises many classes for what it cannot write
            raise Invalid("MODEL-002", f"skops cannot write this {type(model).__name__}: {fault}") from None
        if untrusted:
            raise Invalid(
                "MODEL-002",
                f"this {type(model).__name__} holds objects of {untrusted[0]}",
                why="only types that are known to be safe to read are written",
                untrusted=untrusted,
            )
        return _normalise(content)

    def tell_mlflow(self, content: bytes, environment: Mapping[str, str]) -> dict[str, Any]:
        """Return that skops wrote it, and the types that it holds beyond those that skops trusts by itself."""
        return {
            "pickled_model": self.file,
            "serialization_format": "skops",
            "sklearn_version": environment.get("scikit-learn", ""),
            "skops_trusted_types": _find_trusted(_import_skops(), content),
        }

    def load(self, content: bytes) -> Any:
        """Read with skops, trusting the types on the allow-list only."""
        skops = _import_skops()
        try:
            return skops.loads(content, trusted=_find_trusted(skops, content))
        except Exception as fault:  # noqa: BLE001  a damaged file raises whatever its reader stumbles over
            raise Invalid("MODEL-010", f"{self.file} cannot be read: {type(fault).__name__}: {fault}") from None

    def predict(self, model: Any, columns: Mapping[str, Array], signature: Signature) -> dict[str, Array]:
        """Ask the estimator with a frame when it was fitted on one, else with a matrix."""
        rows = _make_frame(columns, signature) if self.features(model) else _make_matrix(columns, signature)
        answers: dict[str, Array] = {}
        for column in signature.outputs:
            if column.name == "probability":
                probabilities = model.predict_proba(rows)
                answers[column.name] = probabilities[:, 1] if column.width == 1 else probabilities
            elif column.name == "label":
                answers[column.name] = np.asarray(model.predict(rows)).astype(_LABELS[column.datatype])
            else:
                answers[column.name] = np.asarray(model.predict(rows)).reshape(len(rows))
        return answers

    def convert(self, model: Any, signature: Signature) -> bytes:
        """Convert by skl2onnx, gradient boosting by our own operators."""
        from mainspring.models.adapters.skl2onnx import convert

        steps, estimator = _split(model)
        return convert(steps, estimator, signature, forest=_read_forest(estimator), classes=_read_classes(model))


def _read_classes(model: Any) -> Array | None:
    """Return a classifier's labels as texts or integers; MODEL-002 for labels that are neither."""
    given = getattr(model, "classes_", None)
    if given is None:
        return None
    if isinstance(given, list):
        raise Invalid("MODEL-002", f"this {type(model).__name__} predicts {len(given)} targets at once", got=len(given))
    classes = np.asarray(given)
    if classes.dtype.kind in "UO":
        return classes.astype(object)
    if classes.dtype.kind == "f" and (classes != np.round(classes)).any():
        raise Invalid("MODEL-002", f"a class of this {type(model).__name__} is {classes[0]:g}, not a whole number")
    return classes.astype(np.int64)


def _normalise(content: bytes) -> bytes:
    """Rewrite what skops wrote so that equal models have equal bytes.

    skops names nodes by addresses in memory, files by those or by chance, and stamps the files with the time. Nodes
    of texts, numbers and types get a number at each place: which of them are one object depends
    on whether a model was fitted or read. For all others it is part of the model.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read("schema.json"))
        names: dict[str, str] = {}
        _renumber(schema, {}, names, itertools.count(1))
        files = {"schema.json": json.dumps(schema, indent=2).encode()}
        files |= {names.get(name, name): archive.read(name) for name in archive.namelist() if name != "schema.json"}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _renumber(node: Any, numbers: dict[int, int], names: dict[str, str], free: Iterator[int]) -> None:
    """Put numbers in the place of addresses, in the order of the schema."""
    if isinstance(node, list):
        for each in node:
            _renumber(each, numbers, names, free)
    if not isinstance(node, dict):
        return
    if "__id__" in node:
        number = numbers.get(node["__id__"])
        if number is None or node.get("__loader__") in _SHARED_BY_CHANCE:
            number = numbers[node["__id__"]] = next(free)
        node["__id__"] = number
    if isinstance(node.get("file"), str):
        _, dot, suffix = node["file"].partition(".")
        node["file"] = names.setdefault(node["file"], f"{len(names) + 1}{dot}{suffix}")
    for each in node.values():
        _renumber(each, numbers, names, free)


def _split(model: Any) -> tuple[Any, Any]:
    """Return a pipeline's steps before the last, and the last; (None, model) for anything else."""
    if type(model).__name__ == "Pipeline" and type(model).__module__ == "sklearn.pipeline":
        return (model[:-1] if len(model.steps) > 1 else None), model.steps[-1][1]
    return None, model


def _find_used_columns(model: Any) -> set[str] | None:
    """Return the columns that a first ColumnTransformer keeps; None: all, or it counts positions."""
    steps, _ = _split(model)
    used: set[str] = set()
    for _, step, columns in getattr(steps.steps[0][1], "transformers_", ()) if steps is not None else ():
        if isinstance(step, str) and step == "drop":
            continue
        listed: list[Any] = [columns] if isinstance(columns, str | slice) else list(columns)
        if not all(isinstance(column, str) for column in listed):
            return None
        used.update(listed)
    return used or None


def _read_forest(estimator: Any) -> Forest | None:
    module, name = type(estimator).__module__, type(estimator).__name__
    if module.startswith("lightgbm."):
        from mainspring.models.adapters.lightgbm import read_forest

        return read_forest(estimator.booster_.model_to_string())
    if module.startswith("xgboost."):
        from mainspring.models.adapters import xgboost

        return xgboost.read_booster(estimator)
    if name in {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"} and module.startswith("sklearn."):
        return _read_histogram_boosting(estimator)
    return None


def _read_histogram_boosting(estimator: Any) -> Forest:
    links: dict[str, Link] = {
        "IdentityLink": "identity",
        "LogLink": "exp",
        "LogitLink": "logistic",
        "MultinomialLogit": "softmax",
    }
    link = links[type(estimator._loss.link).__name__]
    if estimator.is_categorical_ is not None and np.any(estimator.is_categorical_):
        raise ValueError("native categorical splits have no ONNX form: put an OrdinalEncoder before the estimator")
    trees = [
        _read_tree(predictor.nodes, target)
        for round_ in estimator._predictors
        for target, predictor in enumerate(round_)
    ]
    return Forest(trees, np.ravel(estimator._baseline_prediction).astype(np.float64), link)


def _read_tree(nodes: Any, target: int) -> Tree:
    return Tree(
        leaf=nodes["is_leaf"].astype(bool),
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"],
        nan_left=nodes["missing_go_to_left"].astype(bool),
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        value=nodes["value"],
        target=target,
    )


def _make_frame(columns: Mapping[str, Array], signature: Signature) -> Any:
    import polars as pl

    return pl.DataFrame(
        [
            pl.Series(each.name, columns[each.name].tolist(), dtype=pl.String)
            if each.datatype == "BYTES"
            else pl.Series(each.name, columns[each.name])
            for each in signature.inputs
        ]
    )


def _make_matrix(columns: Mapping[str, Array], signature: Signature) -> Array:
    single = all(each.datatype == "FP32" for each in signature.inputs)
    return np.column_stack(
        [columns[each.name].astype(np.float32 if single else np.float64) for each in signature.inputs]
    )


def _is_bare_lightgbm_matrix(model: Any, names: Any) -> bool:
    """LightGBM invents names for the columns of a matrix."""
    return type(model).__module__.startswith("lightgbm.") and all(
        name == f"Column_{number}" for number, name in enumerate(names)
    )


def _find_trusted(skops: Any, content: bytes) -> list[str]:
    """Return the types of the file that our list allows and skops's does not."""
    return sorted(_TRUSTED & set(skops.get_untrusted_types(data=content)))


def _import_skops() -> Any:
    try:
        import sklearn  # noqa: F401
        import skops.io
    except (ImportError, OSError) as fault:
        raise Unavailable(
            "MODEL-011", f"skops cannot be imported: {fault}", fix="pip install 'mainspring[sklearn]'"
        ) from None
    return skops.io
