"""Sensitive cells under another name: renamed, copied, computed, and through steps, models and quarantine."""

import importlib
import sys
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from sklearn.tree import DecisionTreeClassifier
from tests.support.canaries import list_leaks

import mainspring as ms
from mainspring.domain.errors import Invalid
from mainspring.sdk.exposures import forget_exposure

CANARY = "canary-77d2e5b8-cell"
NUMBER = 615_243_342_516
ROWS = pl.DataFrame(
    {
        "id": [1, 2, 3],
        "at": [datetime(2026, 1, day, tzinfo=UTC).replace(tzinfo=None) for day in (1, 2, 3)],
        "name": [f"{CANARY}-{number}" for number in (1, 2, 3)],
        "salary": [NUMBER, None, NUMBER + 1],
        "town": ["Ulm", "Bern", "Ulm"],
    }
)
CODE = """
import mainspring as ms
import polars as pl

@ms.step
def select(people: ms.Dataset) -> pl.DataFrame:
    return people.polars().rename({"name": "who"}).drop("salary")

@ms.step
def keep(rows):
    return ms.write(rows, "kept")

@ms.step
def shift(people: ms.Dataset):
    return ms.write(people.polars().with_columns(pl.col("at").dt.offset_by("1y")), "shifted")

@ms.pipeline
def work(people: ms.Dataset):
    return keep(select(people)), shift(people)
"""


class Person(ms.Contract):
    """Rows with what only some may read."""

    id: int = ms.Field(key=True)
    at: datetime = ms.Field(event_time=True)
    name: str = ms.Field(sensitive=True)
    salary: int = ms.Field(sensitive=True, nullable=True)
    town: str = ms.Field()


@pytest.fixture
def people(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # runs tell what is not committed yet, and this file holds the canaries
    forget_exposure()
    yield ms.write(ROWS, "people", contract=Person)
    forget_exposure()


def sealed(dataset):
    return set(dataset.version.manifest.get("sealed") or ())


def test_a_sensitive_column_under_another_name_stays_sealed(people, home):
    rows = people.polars()
    renamed = ms.write(rows.rename({"name": "who", "salary": "pay"}), "renamed")
    assert sealed(renamed) == {"who", "pay"}
    assert renamed.polars()["who"].to_list() == ROWS["name"].to_list()
    copied = ms.write(rows.with_columns(copy=pl.col("name"), twice=pl.col("salary") * 2), "copied")
    assert sealed(copied) == {"name", "salary", "copy", "twice"}
    assert list_leaks(home, CANARY, str(NUMBER), str(2 * NUMBER)) == []


def test_it_does_not_hide_under_the_name_of_a_plain_column_either(people, home):
    rows = people.polars()
    hidden = ms.write(rows.select("id", town="name"), "hidden")
    assert sealed(hidden) == {"town"}
    late = rows.select("id", at=pl.col("at").dt.offset_by("1y"), town="town")
    assert sealed(ms.write(late, "late")) == {"at"}
    assert list_leaks(home, CANARY) == []


def test_what_other_datasets_hold_plainly_stays_plain(people):
    towns = ms.write(
        pl.DataFrame({"town": ["Ulm", "Bern"], "people": [126, None], "tags": [["a"], ["b", "c"]]}), "towns"
    )
    joined = people.polars().join(towns.polars(), on="town", how="left")
    narrow = joined.with_columns(pl.col("people").cast(pl.Float64).fill_null(float("nan")))
    assert sealed(ms.write(narrow, "joined")) == {"name", "salary"}


def test_a_contract_that_names_a_column_says_what_it_is(people):
    class Counted(ms.Contract):
        """What everybody may see of it."""

        town: str = ms.Field()
        people: int = ms.Field(ge=2)

    counted = people.polars().select("town", people=pl.len().over("town"), letters=pl.col("name").str.len_chars())
    declared = ms.write(counted, "counted", contract=Counted)
    assert sealed(declared) == {"letters"}
    assert declared.quarantined()["people"].to_list() == ["1"]
    forget_exposure()
    assert sealed(ms.write(declared.polars().select("town"), "names")) == set()


def test_a_name_is_lost_on_no_way_through_steps(people, home, tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "renaming.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    work = importlib.import_module("renaming").work
    try:
        kept, shifted = work(people)
    finally:
        del sys.modules["renaming"]
    assert sealed(kept) == {"who"}
    assert sealed(shifted) == {"name", "salary", "at"}
    assert shifted.event_time is None, "the record would tell the latest"
    assert list_leaks(home, CANARY) == []


def test_a_model_of_renamed_columns_shows_none_of_them(people, home):
    rows = people.polars().select(pay=pl.col("salary").fill_null(0).cast(pl.Float64), id=pl.col("id").cast(pl.Float64))
    fitted = DecisionTreeClassifier(max_depth=2).fit(rows, np.array([0, 1, 0]))
    model = ms.register(fitted, "late", example=rows)
    assert model.details["sensitive"] == ["name", "pay", "salary"]
    assert str(NUMBER) not in str(model.details)
    assert list_leaks(home, str(NUMBER), str(float(NUMBER))) == []


def test_what_cannot_be_sealed_is_refused(people):
    with pytest.raises(Invalid, match="'words' holds List") as caught:
        ms.write(people.polars().select("id", words=pl.col("name").str.split("-")), "words")
    assert caught.value.code == "DATA-011"
