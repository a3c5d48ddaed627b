"""Sensitive columns and values, through a real owner and real workers: canaries that lie nowhere in the clear."""

import importlib
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import polars as pl
import pytest
from tests.support.canaries import list_leaks

import mainspring as ms
from mainspring.data.sealing import open_column, seal_column
from mainspring.domain import access, messages
from mainspring.domain.errors import Denied, Failed, Invalid
from mainspring.domain.home import name_folder
from mainspring.sdk.client import Client
from mainspring.sdk.exposures import forget_exposure
from mainspring.security.ciphers import Cipher

CANARY = "canary-4d1c77e0-cell"
NUMBER = 987_654_321_987
VALUE = "canary-b2f0e6a1-value"
ALL = (CANARY, VALUE, str(NUMBER))


class Person(ms.Contract):
    """Rows with what only some may read."""

    id: int = ms.Field(key=True)
    at: datetime = ms.Field(event_time=True)
    name: str = ms.Field(sensitive=True)
    salary: int = ms.Field(sensitive=True, nullable=True, ge=0)
    town: str = ms.Field()


def make_rows(first=1, count=3):
    numbers = range(first, first + count)
    return pl.DataFrame(
        {
            "id": list(numbers),
            "at": [datetime(2026, 1, number, tzinfo=UTC).replace(tzinfo=None) for number in numbers],
            "name": [f"{CANARY}-{number}" for number in numbers],
            "salary": [NUMBER if number % 2 else None for number in numbers],
            "town": ["Ulm"] * count,
        }
    )


CODE = f"""
import sys
import mainspring as ms
import polars as pl

@ms.step
def select(people: ms.Dataset) -> pl.DataFrame:
    return people.polars().select("id", "name", "salary")

@ms.step(cpus=1)
def count(rows, text: str = "none"):
    return {{"longest": rows["name"].to_list()[-1], "text": text}}

@ms.step
def fail(rows):
    raise ValueError("cannot read " + rows["name"][0] + str(rows["salary"].to_list()))

@ms.step(sensitive=True)
def make(word: str) -> str:
    return word + "!"

@ms.step
def keep(rows, text):
    ms.log(sample=rows, note=text)
    ms.log_params(first=text)
    return ms.write(rows, "kept")

@ms.pipeline
def work(people: ms.Dataset):
    rows = select(people)
    made = make("{VALUE}")
    kept = keep(rows, made)
    later = count.submit(rows, text=made).result()
    return [rows, later, kept]
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "sensing.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.chdir(tmp_path)  # runs tell what is not committed yet, and this file holds the canaries
    yield importlib.import_module("sensing")
    del sys.modules["sensing"]


def test_cells_lie_encrypted_and_are_read_without_ceremony(client, home):
    written = ms.write(make_rows(), "people", contract=Person)
    assert written.polars().equals(make_rows())
    assert written.head(1)["name"].to_list() == [f"{CANARY}-1"]
    assert written.schema["salary"] == pl.Int64
    again = ms.write(make_rows(), "people", contract=Person)
    assert again.reference == written.reference, "equal content is the same version"
    ms.write(make_rows(3, 2), "people", mode="upsert", key="id")
    appended = ms.write(make_rows(5, 2), "people", mode="append")
    assert appended.polars().sort("id").equals(make_rows(1, 6))
    assert CANARY not in appended._repr_html_()
    assert list_leaks(home, *ALL) == []
    files = list((home.tables / name_folder("default", "people")).glob("*.parquet"))
    raw = pl.read_parquet(files)
    assert raw.schema["name"] == raw.schema["salary"] == pl.Binary
    assert raw["name"].n_unique() == raw.height, "equal cells are sealed differently"


def test_rows_in_quarantine_lie_encrypted_too(client, home):
    bad = make_rows().with_columns(salary=pl.lit(-NUMBER))
    written = ms.write(bad, "people", contract=Person)
    assert written.rows == 0
    kept = written.quarantined()
    assert kept["salary"].to_list() == [str(-NUMBER)] * 3
    assert kept["reason"].unique().to_list() == ["salary ge 0"]
    assert list_leaks(home, *ALL) == []


@pytest.fixture
def database_files(record, request):
    """The server of the record, where it is one."""
    return request.getfixturevalue("postgresql") if record == "postgresql" else None


def test_what_is_computed_from_cells_is_sealed_wherever_it_goes(record, code, client, home, database_files):
    ms.write(make_rows(), "people", contract=Person)
    rows, later, kept = code.work(ms.Dataset("people"))
    assert later == {"longest": f"{CANARY}-3", "text": f"{VALUE}!"}
    assert kept.polars()["name"].to_list() == rows["name"].to_list()
    assert set(kept.version.manifest["sealed"]) == {"name", "salary"}
    forget_exposure()
    again = code.work(ms.Dataset("people"))
    assert again[1] == later
    steps = [run for run in client.ask(messages.ListRuns(kind="step")) if run.name != "work"]
    assert {run.name for run in steps if run.cached_from} == {"select", "make", "keep", "count"}
    assert list_leaks(home, *ALL, database=database_files) == []
    told = repr([steps, client.ask(messages.ListEvents()), client.ask(access.ListAudit())])
    assert not any(canary in told for canary in ALL)


def test_an_error_of_code_that_has_seen_cells_withholds_its_text(code, client, home):
    ms.write(make_rows(), "people", contract=Person)
    rows = ms.Dataset("people").polars()
    with pytest.raises(ValueError, match=CANARY):
        code.fail(rows)
    with pytest.raises(Failed) as caught:
        code.fail.submit(rows).result()
    assert CANARY not in f"{caught.value} {caught.value.__notes__}"
    for run in client.ask(messages.ListRuns(kind="step")):
        assert "its text is withheld" in run.problem.what
        assert "sensing.py" in run.problem.traceback
    assert list_leaks(home, *ALL) == []


def test_who_may_not_read_gets_one_clear_error_and_the_other_columns(client, home):
    ms.write(make_rows(), "people", contract=Person)
    client.ask(access.AddUser(name="ben", role="runner"))
    token = client.ask(access.IssueToken(principal="ben")).token
    with closing(Client(home, None, token=token)) as other, pytest.raises(Denied) as caught:
        other.data_keys.make("column:people:name")
    assert caught.value.code == "AUTH-005"
    assert "sensitive.read" in caught.value.what
    scoped = client.ask(access.IssueToken(principal="ben", scopes=("assets", "runs"))).token
    client.ask(access.GrantRole(name="ben", role="admin"))
    with closing(Client(home, None, token=scoped)) as narrow, pytest.raises(Denied, match="AUTH-006"):
        narrow.data_keys.make("column:people:name")
    assert ms.Dataset("people").scan().select("town").polars()["town"].to_list() == ["Ulm"] * 3


def test_rotation_wraps_the_keys_anew_and_touches_no_data(code, client, home):
    written = ms.write(make_rows(), "people", contract=Person)
    code.work(written)
    before = {path: path.read_bytes() for path in [*home.blobs.rglob("*"), *home.tables.rglob("*")] if path.is_file()}
    rotated = client.ask(access.RotateKeys())
    assert rotated.envelopes >= 4
    assert all(path.read_bytes() == content for path, content in before.items())
    key = written.version.manifest["sealed"]["name"]["key"]
    with closing(Client(home, None)) as fresh:
        assert fresh.data_keys.open(key).digest("x") == client.data_keys.open(key).digest("x")


def test_a_lost_key_is_one_clear_error(client, home):
    written = ms.write(make_rows(), "people", contract=Person)
    client.close()
    (path,) = home.envelope_keys.glob("*.key")
    path.unlink()
    with closing(Client(home, None)) as fresh, pytest.raises(Denied) as caught:
        fresh.data_keys.open(written.version.manifest["sealed"]["name"]["key"])
    assert caught.value.code == "SECRET-003"
    assert "is not here" in caught.value.what


def test_an_overwrite_without_the_contract_tells_no_extremes(client, home):
    ms.write(make_rows(), "people", contract=Person)
    again = ms.write(make_rows(1, 5).drop("name"), "people")
    assert set(again.version.details["profile"]["salary"]) == {"count", "null"}
    assert list_leaks(home, *ALL) == []


def test_a_column_becomes_sensitive_in_every_row(client, home):
    class Open(ms.Contract):
        """The same before anybody thought of it."""

        id: int = ms.Field(key=True)
        town: str = ms.Field()

    class Closed(ms.Contract):
        """And after."""

        id: int = ms.Field(key=True)
        town: str = ms.Field(sensitive=True)

    rows = pl.DataFrame({"id": [1, None], "town": ["Ulm", "Bern"]})
    ms.write(rows, "towns", contract=Open)
    more = pl.DataFrame({"id": [2, None], "town": [CANARY, CANARY]})
    grown = ms.write(more, "towns", contract=Closed, mode="append")
    assert grown.polars()["town"].to_list() == ["Ulm", CANARY]
    assert grown.quarantined()["town"].to_list() == ["Bern", CANARY]
    assert list_leaks(home, CANARY) == []
    forget_exposure()  # another process, which has read none of it
    stays = ms.write(pl.DataFrame({"id": [3], "town": [CANARY]}), "towns")
    assert set(stays.version.manifest["sealed"]) == {"town"}, "no overwrite opens it again"
    assert list_leaks(home, CANARY) == []


@pytest.mark.parametrize("spoil", [lambda cell: cell[:-1] + b"x", lambda cell: cell[:20], lambda _: b""])
def test_a_changed_cell_is_refused(spoil):
    cipher = Cipher("1", b"k" * 32)
    sealed = seal_column(pl.Series("name", ["Ann", None, "Ben"]), cipher)
    assert open_column(sealed, pl.String(), cipher).to_list() == ["Ann", None, "Ben"]
    changed = pl.Series("name", [sealed[0], None, spoil(sealed[2])], pl.Binary).to_frame().lazy()
    read = partial(open_column, dtype=pl.String(), cipher=cipher)
    with pytest.raises(Denied) as caught:
        changed.select(pl.col("name").map_batches(read, return_dtype=pl.String, is_elementwise=True)).collect()
    assert caught.value.code == "SECRET-003"
    assert caught.value.what.startswith("column 'name': sealed bytes do not open")


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([True, None, False]),
        pl.Series([1, None, -(2**62)]),
        pl.Series([1.5, None, float("inf")]),
        pl.Series([b"", None, b"x"]),
        pl.Series(["", None, "ü"]),
        pl.Series([datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None), None], dtype=pl.Datetime("us")),
        pl.Series([None, None], dtype=pl.Date),
        pl.Series([1, None], dtype=pl.Int8),
        pl.Series([0.5, None], dtype=pl.Float32),
        pl.Series([], dtype=pl.Int64),
    ],
)
def test_every_type_comes_back_as_it_was(values):
    cipher = Cipher("1", b"k" * 32)
    assert open_column(seal_column(values, cipher), values.dtype, cipher).equals(values, null_equal=True)


@pytest.mark.parametrize(
    ("make", "code", "what"),
    [
        (lambda rows: ms.write(rows, "people", contract=Person).split(by="salary", at=5.0), "DATA-015", "sensitive"),
        (
            lambda rows: ms.write(rows.with_columns(name=pl.concat_list("id")), "kept"),
            "DATA-011",
            "cannot be sealed",
        ),
    ],
)
def test_what_cannot_be_sealed_is_refused(client, home, make, code, what):
    ms.write(make_rows(), "kept", contract=Person)
    with pytest.raises(Invalid) as caught:
        make(make_rows())
    assert (caught.value.code, what in caught.value.what) == (code, True)


def test_an_event_time_is_never_sensitive():
    with pytest.raises(Invalid, match="DATA-008"):

        class Wrong(ms.Contract):
            at: datetime = ms.Field(event_time=True, sensitive=True)
