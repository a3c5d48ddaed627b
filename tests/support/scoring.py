"""A small regression and rows for it."""

import numpy as np
import polars as pl
from sklearn.linear_model import LinearRegression

import mainspring as ms

SEED = 11


def make_rows(rows, seed=SEED):
    """Return rows with a key, two inputs and a text."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": range(rows),
            "wind": rng.gamma(2.0, 8.0, rows),
            "load": rng.random(rows),
            "port": rng.choice(["north", "south"], rows).tolist(),
        }
    )


def register_delays(name="delays", slope=2.0):
    """Register a regression whose answer is ``slope * wind + load``."""
    rows = make_rows(200)
    fitted = LinearRegression().fit(rows.select("wind", "load"), slope * rows["wind"] + rows["load"])
    return ms.register(fitted, name, example=rows.select("wind", "load"))


def check_scores(rows, scores, slope=2.0):
    """Assert that scores hold each row once, in order, and what the regression says of it."""
    assert scores["id"].to_list() == rows["id"].to_list()
    assert np.allclose(scores["value"], slope * rows["wind"] + rows["load"], atol=1e-3)
