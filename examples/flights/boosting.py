"""Boosted trees of LightGBM where it imports, else of scikit-learn, under one set of words."""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

try:
    from lightgbm import LGBMClassifier as Boosting

    WORDS = ("n_estimators", "learning_rate", "num_leaves", "min_child_samples", "reg_lambda")
    ALWAYS: dict[str, Any] = {"verbose": -1, "random_state": 0, "feature_fraction_bynode": 0.4}
except (ImportError, OSError):  # not installed, or its system library is not
    from sklearn.ensemble import HistGradientBoostingClassifier as Boosting

    WORDS = ("max_iter", "learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization")
    ALWAYS = {"warm_start": True, "early_stopping": False, "random_state": 0, "max_features": 0.4}


def make_model(texts: list[str], numbers: list[str], rate: float, leaves: int, samples: int, l2: float) -> Pipeline:
    """Return a pipeline that codes the texts and boosts; `set_trees` says how far."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("codes", codes, texts), ("numbers", "passthrough", numbers)])
    words = dict(zip(WORDS[1:], (rate, leaves, samples, l2), strict=True))
    return Pipeline([("columns", columns), ("boosting", Boosting(**words, **ALWAYS))])


def set_trees(model: Pipeline, trees: int) -> Pipeline:
    """Set how many trees the next fit ends with; scikit-learn's goes on from those it has."""
    return model.set_params(**{f"boosting__{WORDS[0]}": trees})
