"""What differs between two tables, whatever their columns are called and miss."""

import polars as pl

from mainspring.data.differences import Difference, compare_tables


def test_rows_without_a_key_value_are_compared_too():
    before = pl.DataFrame({"k": [1, None], "v": [1, 2]})
    after = pl.DataFrame({"k": [1, None], "v": [1, 3]})
    assert not compare_tables(before, before, ["k"])
    assert compare_tables(before, after, ["k"]) == Difference(0, 0, 1, (), ())


def test_a_column_may_be_called_as_a_count():
    before, after = pl.DataFrame({"len": [1, 1, 2]}), pl.DataFrame({"len": [1, 3]})
    assert compare_tables(before, after, []) == Difference(1, 2, 0, (), ())
