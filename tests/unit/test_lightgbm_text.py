"""A booster's text is held against itself: whole ones are taken, damaged ones refused, and no process ends over one."""

import os
import re
import subprocess
import sys

import lightgbm
import numpy as np
import pytest

from mainspring.domain.errors import Invalid
from mainspring.models.adapters.lightgbm import LightgbmFlavor
from mainspring.models.adapters.lightgbm_text import check_text

SEED, COUNT = 20130101, int(os.environ.get("MAINSPRING_TEST_MUTATIONS", "300"))
PATIENCE_S = 300


def train(rounds: int = 3, **params: object) -> bytes:
    rng = np.random.default_rng(SEED)
    rows = rng.normal(size=(300, 4))
    rows[:, 3] = rng.integers(0, 40, 300)
    label = (rows[:, 0] + rows[:, 3] % 3 > 1).astype(int) + (params.get("num_class") == 3) * (rows[:, 1] > 0)
    categories = [3] if params.pop("categories", False) else "auto"
    told = {"verbose": -1, "num_threads": 1, "num_leaves": 6, "seed": 1, **params}
    data = lightgbm.Dataset(rows, label, categorical_feature=categories)
    return LightgbmFlavor().save(lightgbm.train(told, data, rounds))


WHOLE = {
    "binary": {"objective": "binary"},
    "classes": {"objective": "multiclass", "num_class": 3},
    "categories": {"objective": "binary", "categories": True, "max_cat_to_onehot": 2, "min_data_per_group": 5},
    "linear": {"objective": "regression", "linear_tree": True},
    "forest": {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
    "dart": {"objective": "regression", "boosting": "dart"},
    "leaves": {"objective": "binary", "min_data_in_leaf": 400},
    "monotone": {"objective": "binary", "monotone_constraints": [1, 0, -1, 0]},
    "interactions": {"objective": "binary", "interaction_constraints": [[0, 1], [2, 3]]},
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_the_library_writes_is_taken(name):
    content = train(**WHOLE[name])
    assert check_text(content).encode() == content
    again = LightgbmFlavor().save(LightgbmFlavor().load(content))
    assert check_text(again)


def test_categories_of_pandas_are_taken():
    text = (
        train(objective="binary").decode().replace("pandas_categorical:null", 'pandas_categorical:[["a", "\\u00fc"]]')
    )
    assert "u00fc" in check_text(text.encode())


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("tree\n", "tre\n", "no text of a booster"),
        ("end of trees", "end", "have no end"),
        ("max_feature_idx=3", "max_feature_idx=2", "feature_names are not 3"),
        ("tree_sizes=", "tree_sizes=9", "tree_sizes are not those of its trees"),
        ("num_leaves=6", "num_leaves=7", "tree 0: leaf_value are not 7 numbers"),
        ("split_feature=", "split_feature=8", "tree 0: split_feature 8"),
        ("left_child=", "left_child=9", "tree 0: "),
        ("num_cat=0", "num_cat=1", "tree 0: cat_boundaries are not 2 numbers"),
        ("[boosting: gbdt]", "boosting: gbdt", "what follows its trees is none"),
    ],
)
def test_a_text_that_lies_is_refused(old, new, what):
    text = train(objective="binary").decode()
    before, found, after = text.partition(old)
    assert found
    damaged = before + new + after
    if what.startswith("tree 0"):  # its sizes are told as they are
        blocks = damaged.partition("\nend of trees\n")[0].split("\nTree=")[1:]
        told = " ".join(str(len(f"Tree={each}\n".encode())) for each in blocks)
        damaged = re.sub("(?m)^tree_sizes=.*$", f"tree_sizes={told}", damaged)
    with pytest.raises(Invalid, match="MODEL-010") as refused:
        LightgbmFlavor().load(damaged.encode())
    assert what in refused.value.what


@pytest.mark.parametrize("name", ["binary", "categories"])
def test_no_damage_ends_the_process(name):
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.mutations", str(COUNT), str(SEED)],
        input=train(**WHOLE[name]).decode(), capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > COUNT // 2
