"""Signatures: what they take, what they refuse and with which code."""

import numpy as np
import polars as pl
import pytest

from mainspring.domain.errors import Invalid
from mainspring.models.columns import to_columns
from mainspring.models.signature import Column, Signature, infer

TRIP = Signature(
    (
        Column("carrier", "BYTES", nullable=True, categories=("AA", "UA")),
        Column("wind", "FP32", nullable=True),
        Column("hour", "INT64"),
        Column("holiday", "BOOL"),
        Column("distance", "FP64"),
    )
)
GOOD = {"carrier": ["AA", None], "wind": [3.5, None], "hour": [6, 7], "holiday": [True, False], "distance": [1.0, 2]}


def test_checked_columns_have_the_signatures_order_and_types() -> None:
    checked = TRIP.check(dict(reversed(GOOD.items())))
    assert list(checked) == ["carrier", "wind", "hour", "holiday", "distance"]
    assert [values.dtype.name for values in checked.values()] == ["object", "float32", "int64", "bool", "float64"]
    assert checked["carrier"].tolist() == ["AA", None]
    assert np.isnan(checked["wind"][1])


def test_an_unseen_category_is_allowed() -> None:
    assert TRIP.check({**GOOD, "carrier": ["ZZ", "AA"]})["carrier"].tolist() == ["ZZ", "AA"]


@pytest.mark.parametrize(
    ("change", "code", "what"),
    [
        ({"wind": ...}, "MODEL-005", "input 'wind' is missing"),
        ({"gust": [1.0, 2.0]}, "MODEL-006", "the model has no input 'gust'"),
        ({"wind": ["strong", "weak"]}, "MODEL-007", "input 'wind' is str, the model takes FP32"),
        ({"hour": [6.5, 7.0]}, "MODEL-007", "input 'hour' is float64, the model takes INT64"),
        (
            {"hour": [2**63, 2**63]},
            "MODEL-007",
            "input 'hour' is 9,223,372,036,854,775,808, the model takes INT64",
        ),
        ({"carrier": [1, 2]}, "MODEL-007", "input 'carrier' is int64, the model takes BYTES"),
        ({"carrier": ["AA", 2]}, "MODEL-007", "input 'carrier' is int, the model takes BYTES"),
        ({"holiday": [1, 0]}, "MODEL-007", "input 'holiday' is int64, the model takes BOOL"),
        ({"wind": [1.0]}, "MODEL-008", "input 'wind' has 1 rows, the inputs before it 2"),
        ({"wind": np.ones((2, 2))}, "MODEL-008", "input 'wind' has 2 dimensions"),
        ({"distance": [1.0, np.nan]}, "MODEL-009", "input 'distance' is null in row 1"),
        ({"hour": [6, None]}, "MODEL-009", "input 'hour' is null in row 1"),
        ({"holiday": [None, True]}, "MODEL-009", "input 'holiday' is null in row 0"),
    ],
)
def test_a_wrong_field_is_named(change: dict, code: str, what: str) -> None:
    columns = {name: values for name, values in {**GOOD, **change}.items() if values is not ...}
    with pytest.raises(Invalid) as caught:
        TRIP.check(columns)
    assert (caught.value.code, caught.value.what) == (code, what)
    assert caught.value.fix


def test_no_rows_are_refused() -> None:
    with pytest.raises(Invalid, match="no rows") as caught:
        TRIP.check({name: [] for name in GOOD})
    assert caught.value.code == "MODEL-008"


def test_inference_reads_types_off_a_frame() -> None:
    frame = pl.DataFrame(
        {"a": ["x", None], "b": [1, None], "c": [1, 2], "d": [True, False], "e": [1.0, 2.0]},
        schema_overrides={"e": pl.Float32},
    )
    signature = infer(to_columns(frame))
    found = [(column.name, column.datatype, column.nullable) for column in signature.inputs]
    assert found == [
        ("a", "BYTES", True),
        ("b", "FP64", True),
        ("c", "INT64", False),
        ("d", "BOOL", False),
        ("e", "FP32", True),
    ]
    assert infer(to_columns(frame), names=("e", "a")).inputs[0].name == "e"


def test_an_example_with_times_is_refused_by_name() -> None:
    frame = pl.DataFrame({"at": pl.Series([0, 1]).cast(pl.Datetime("us"))})
    with pytest.raises(Invalid, match="example column 'at' holds datetime64") as caught:
        infer(to_columns(frame))
    assert caught.value.code == "MODEL-004"


def test_columns_from_pandas_words_and_rows_agree() -> None:
    rows = [{"a": "x", "b": 1.5}, {"a": None, "b": None}]
    columns = to_columns(rows)
    assert columns["a"].tolist() == ["x", None]
    assert np.isnan(columns["b"][1])
    with pytest.raises(TypeError, match="not int"):
        to_columns(3)
