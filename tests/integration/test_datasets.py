"""Datasets through the public names, with a real owner and real tables."""

import pickle
from datetime import datetime, timedelta

import polars as pl
import pytest

import mainspring as ms
from mainspring.data.profiles import profile_rows
from mainspring.domain.messages import BeginRun, ListEvents, ListRuns, ListVersions
from mainspring.errors import Conflict, Invalid, NotFound, Unavailable
from mainspring.sdk.context import enter_run
from mainspring.sdk.writes import write_rows

START = datetime.fromisoformat("2020-01-01T00:00:00")
WAGE = 4_711_047_110_471_104  # too long to stand in a log by chance, as a time or in a digest

pytestmark = pytest.mark.usefixtures("client")


class Sale(ms.Contract):
    id: int = ms.Field(key=True)
    price: float = ms.Field(ge=0)
    at: datetime = ms.Field(event_time=True)


def make_sales(*ids, price=1.0, days=0):
    return pl.DataFrame(
        {
            "id": list(ids),
            "price": [price] * len(ids),
            "at": [START + timedelta(days=days + place) for place in range(len(ids))],
            "shop": [f"s{number % 2}" for number in ids],
        }
    )


def list_numbers(client, name):
    return [each.number for each in client.ask(ListVersions(kind="dataset", name=name))]


def test_rows_come_back_as_they_were_written():
    frame = make_sales(1, 2, 3)
    dataset = ms.write(frame, "sales", contract=Sale)
    assert dataset.reference == "sales@1"
    assert dataset.polars().equals(frame)
    assert pl.DataFrame(dataset.arrow()).equals(frame)
    assert dataset.head(2).equals(frame.head(2))
    assert (dataset.rows, dataset.key, dataset.event_time) == (3, ["id"], "at")
    assert dataset.scan().select("shop").polars().columns == ["shop"]
    assert ms.Dataset("sales").polars().equals(frame)
    assert "sales@1" in dataset._repr_html_()


@pytest.mark.parametrize(
    "rows", [[{"a": 1, "b": "x"}, {"a": 2, "b": None}], pl.LazyFrame({"a": [1, 2], "b": ["x", None]})]
)
def test_rows_may_have_any_shape(rows):
    wanted = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert ms.write(rows, "shapes").polars().equals(wanted)
    assert ms.write(ms.Dataset("shapes").arrow(), "copies").polars().equals(wanted)
    assert ms.write(ms.Dataset("shapes"), "copies").reference == "copies@1"


def test_dataset_may_be_empty():
    frame = make_sales(1).clear()
    empty = ms.write(frame, "sales", contract=Sale)
    assert empty.polars().equals(frame)
    assert ms.write(make_sales(1), "sales", mode="append").polars().equals(make_sales(1))


def test_event_time_that_is_missing_or_no_time_any_more_is_no_matter(client):
    sales = ms.write(make_sales(1), "sales", contract=Sale)
    with enter_run(client.ask(BeginRun(kind="step", name="derive")).run, client):
        gaps = ms.write(sales.polars().with_columns(at=pl.lit(None, pl.Datetime("us"))), "gaps")
        texts = ms.write(sales.polars().with_columns(pl.col("at").cast(pl.String)), "texts")
    assert (gaps.event_time, texts.event_time) == ("at", None)


def test_equal_content_is_the_same_version_and_leaves_no_commit(client):
    first = ms.write(make_sales(1, 2), "sales")
    log = sorted((client.home.tables / "sales" / "_delta_log").iterdir())
    assert ms.write(make_sales(1, 2), "sales").version.id == first.version.id
    assert sorted((client.home.tables / "sales" / "_delta_log").iterdir()) == log


def test_content_that_comes_back_is_the_latest_version_again(client):
    ms.write(make_sales(1), "sales")
    ms.write(make_sales(2), "sales")
    again = ms.write(make_sales(1), "sales")
    assert again.reference == "sales@3"
    assert ms.Dataset("sales").polars().equals(make_sales(1))
    assert ms.write(make_sales(1), "sales").reference == "sales@3"
    assert list_numbers(client, "sales") == [3, 2, 1]


def test_old_versions_stay_readable():
    ms.write(make_sales(1), "sales")
    ms.write(make_sales(2), "sales", mode="append")
    ms.write(make_sales(9).drop("shop"), "sales")
    assert [ms.Dataset(f"sales@{number}").polars()["id"].to_list() for number in (1, 2, 3)] == [[1], [1, 2], [9]]
    assert ms.Dataset("sales@3").schema.names() == ["id", "price", "at"]


def test_upsert_replaces_in_place_and_adds_the_rest():
    ms.write(make_sales(1, 2, 3), "sales", contract=Sale)
    changed = ms.write(make_sales(2, 4, price=9.0), "sales", mode="upsert")
    assert changed.polars()["id"].to_list() == [1, 2, 3, 4]
    assert changed.polars()["price"].to_list() == [1.0, 9.0, 1.0, 9.0]
    assert ms.write(make_sales(2, 4, price=9.0), "sales", mode="upsert").reference == changed.reference
    assert str(changed.diff("sales@1")) == "+1 -0 ~1 rows"


FOUR = make_sales(1, 2, 3, 4)


@pytest.mark.parametrize("contract", [None, Sale])
@pytest.mark.parametrize(
    "later",
    [
        FOUR[1:3],
        make_sales(2, 3, price=9.0, days=1),
        FOUR[:2],
        FOUR[2:],
        make_sales(2, 3, days=5),
        pl.concat([FOUR[1:2], make_sales(3, price=None)]),
        FOUR.clear(),
    ],
    ids=["old and new", "changed and new", "old", "new", "other times", "a gap", "none"],
)
def test_profile_of_an_upsert_counts_each_row_once(contract, later):
    ms.write(FOUR[:2], "sales", contract=contract, mode="upsert", key="id")
    sales = ms.write(later, "sales", mode="upsert", key="id")
    assert sales.version.details["profile"] == profile_rows(sales.polars())
    assert {facts["count"] + facts["null"] for facts in sales.version.details["profile"].values()} == {sales.rows}


def test_upsert_may_set_a_value_to_missing():
    ms.write([{"id": 1, "note": "x"}], "notes", mode="upsert", key="id")
    assert ms.write([{"id": 1, "note": None}], "notes", mode="upsert").polars().rows() == [(1, None)]


def test_append_keeps_the_contract_of_the_dataset():
    ms.write(make_sales(1), "sales", contract=Sale)
    later = ms.write(make_sales(1, 2), "sales", mode="append")
    assert later.polars()["id"].to_list() == [1, 2]
    assert later.version.details["reasons"] == {"id already there": 1}


@pytest.mark.parametrize("mode", ["overwrite", "append", "upsert"])
def test_no_row_is_dropped(mode):
    ms.write(make_sales(1), "sales", contract=Sale, mode=mode)
    rows = pl.concat([make_sales(5, 6), make_sales(7, price=-1.0), make_sales(5)])
    details = ms.write(rows, "sales", contract=Sale, mode=mode).version.details
    kept = ms.Dataset("sales").rows - (0 if mode == "overwrite" else 1)
    assert details["given"] == rows.height == kept + details["quarantined"]
    quarantined = ms.Dataset("sales").quarantined()
    assert quarantined["reason"].to_list() == ["price ge 0", "id unique"]
    assert quarantined["source_row"].to_list() == [3, 4]
    assert ms.Dataset("sales.quarantine").rows == 2


def test_quarantine_repeats_nothing_when_rows_are_upserted_again():
    rows = pl.concat([make_sales(5), make_sales(7, price=-1.0)])
    ms.write(rows, "sales", contract=Sale, mode="upsert")
    ms.write(pl.concat([make_sales(6), rows]), "sales", contract=Sale, mode="upsert")
    assert ms.Dataset("sales").quarantined().height == 1


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_write_of_bad_rows_alone_is_counted(mode):
    ms.write(make_sales(1), "sales", contract=Sale)
    for _ in range(2 if mode == "upsert" else 1):
        later = ms.write(make_sales(2, price=-1.0), "sales", mode=mode)
    assert later.reference == "sales@2"
    assert later.polars()["id"].to_list() == [1]
    assert later.version.details["reasons"] == {"price ge 0": 1}
    assert later.quarantined()["id"].to_list() == ["2"]
    assert ms.Dataset("sales@1").quarantined().is_empty()


def test_dataset_without_bad_rows_has_an_empty_quarantine():
    assert ms.write(make_sales(1), "sales").quarantined().is_empty()
    with pytest.raises(NotFound, match="DATA-002"):
        ms.Dataset("sales.quarantine").polars()


def test_failing_check_leaves_no_version_and_no_quarantine(client):
    class Strict(ms.Contract):
        id: int = ms.Field(key=True)
        price: float = ms.Field(ge=0, on_fail="fail")

    with pytest.raises(Invalid, match="DATA-009"):
        ms.write(pl.concat([make_sales(1, 1), make_sales(2, price=-1.0)]), "sales", contract=Strict)
    assert client.ask(ListVersions(kind="dataset")) == []


def test_bad_source_leaves_no_version(client, tmp_path):
    with pytest.raises(Invalid, match="DATA-003"):
        ms.write(ms.source(str(tmp_path / "none.csv")), "sales")
    (tmp_path / "a.csv").write_text("id,price\n1,high\n2,low\n")
    with pytest.raises(Invalid, match="DATA-006: column 'price' holds String, as in 'high', where float is wanted"):
        ms.write(
            ms.source(str(tmp_path / "a.csv")),
            "sales",
            contract=type("C", (ms.Contract,), {"__annotations__": {"price": float}}),
        )
    assert client.ask(ListVersions(kind="dataset")) == []


@pytest.mark.parametrize("mode", ["overwrite", "append", "upsert"])
def test_a_key_that_is_no_column_is_refused(client, mode):
    with pytest.raises(Invalid, match="DATA-005: key names column 'ident'"):
        ms.write(make_sales(1), "sales", mode=mode, key=["id", "ident"])
    assert client.ask(ListVersions(kind="dataset")) == []


def test_split_shares_the_files_and_says_where(client):
    whole = ms.write(make_sales(*range(10)), "sales", contract=Sale)
    past, recent = whole.split(last="3d")
    assert (past.name, recent.name) == ("sales.past", "sales.recent")
    assert past.polars()["id"].to_list() == list(range(6))
    assert recent.polars()["id"].to_list() == [6, 7, 8, 9]
    assert (past.rows, recent.rows) == (6, 4)
    border = (START + timedelta(days=6)).timestamp() - START.timestamp()
    assert recent.version.details["from"] - border == past.version.details["until"] - border
    assert recent.version.details["of"] == whole.version.id
    assert recent.version.inputs == (whole.version.id,)
    assert past.version.manifest["files"] == whole.version.manifest["files"]
    assert whole.split(last="3d")[0].version.id == past.version.id
    older, newer = past.split("id", at=2)
    assert (older.polars()["id"].to_list(), newer.polars()["id"].to_list()) == ([0, 1], [2, 3, 4, 5])
    assert newer.name == "sales.past.recent"
    with pytest.raises(Invalid, match="DATA-015: last='3d' is no number, and id holds Int64"):
        whole.split("id", last="3d")


def test_split_at_a_moment_takes_text_and_time():
    whole = ms.write(make_sales(*range(4)), "sales", contract=Sale)
    for at in ("2020-01-03", "2020-01-03T00:00:00Z", datetime.fromisoformat("2020-01-03T02:00:00+02:00")):
        assert whole.split("at", at=at)[1].polars()["id"].to_list() == [2, 3]


def test_features_leave_key_time_and_target_aside():
    features, labels = ms.write(make_sales(1, 2), "sales", contract=Sale).xy("price")
    assert features.columns == ["shop"]
    assert labels.to_list() == [1.0, 1.0]
    with pytest.raises(Invalid, match="DATA-005"):
        ms.Dataset("sales").xy("prise")


def test_pandas_is_asked_for_by_name(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(Unavailable, match="DATA-018: pandas is not installed"):
        ms.write(make_sales(1), "sales").pandas()


def test_private_columns_are_masked_and_stay_out_of_the_log(client):
    class Person(ms.Contract):
        mail: str = ms.Field(pii=True)
        age: int
        wage: int = ms.Field(pii=True, nullable=True)

    frame = pl.DataFrame({"mail": ["anna@example.org", "bad@example.org"], "age": [30, None], "wage": [WAGE, 1]})
    ms.write(frame.select("age"), "people")  # a table that knows of no private column yet
    dataset = ms.write(frame, "people", contract=Person)
    with enter_run(client.ask(BeginRun(kind="step", name="derive")).run, client):
        derived = ms.write(dataset.polars().with_columns(older=pl.col("age") + 1), "derived")
    assert "30" in derived._repr_html_()
    for each in (dataset, derived):
        assert "anna@example.org" not in each._repr_html_()
    logs = [*client.home.tables.glob("*/_delta_log/*.json")]
    assert {path.parts[-3] for path in logs} == {"people", "people.quarantine", "derived"}
    assert not [path for path in logs if "@example.org" in path.read_text() or str(WAGE) in path.read_text()]
    assert dataset.polars()["mail"].to_list() == ["anna@example.org"]


def test_handle_travels_by_its_pinned_reference():
    dataset = ms.write(make_sales(1), "sales")
    ms.write(make_sales(2), "sales")
    again = pickle.loads(pickle.dumps(dataset))
    assert again.reference == "sales@1"
    assert again.__mainspring_digest__() == dataset.__mainspring_digest__()
    assert ms.Dataset("sales").__mainspring_digest__() != dataset.__mainspring_digest__()


def test_run_records_what_it_read_and_wrote(client):
    sales = ms.write(make_sales(1, 2), "sales", contract=Sale)
    run = client.ask(BeginRun(kind="step", name="clean")).run
    with enter_run(run, client):
        made = ms.write(ms.Dataset("sales").polars().filter(pl.col("id") > 1), "clean")
    assert made.version.run_id == run.id
    assert made.version.inputs == (sales.version.id,)
    assert (made.key, made.event_time) == (["id"], "at")
    event = client.ask(ListEvents(kind="data"))[-1]
    assert (event.subject, event.event_time) == ("clean@1", 1577923200.0)


def test_same_run_appends_once_however_often_it_is_tried(client):
    run = client.ask(BeginRun(kind="step", name="collect")).run
    for _ in range(2):
        with enter_run(run, client):
            first = ms.write(make_sales(1), "sales", mode="append")
            second = ms.write(make_sales(1), "sales", mode="append")
    assert (first.reference, second.reference) == ("sales@1", "sales@2")
    assert ms.Dataset("sales").polars()["id"].to_list() == [1, 1]


def test_new_run_of_an_interrupted_step_does_not_append_again(client):
    for _ in range(2):
        run = client.ask(BeginRun(kind="step", name="collect", key="k" * 64)).run
        with enter_run(run, client):
            ms.write(make_sales(1), "sales", mode="append")
    assert ms.Dataset("sales").rows == 1


def test_application_may_append_equal_rows_under_other_numbers():
    for number in (1, 2, 3):
        write_rows(make_sales(7), "captured", mode="append", app=("service", number))
    assert ms.Dataset("captured").rows == 3


def test_application_numbers_its_appends():
    for number in (1, 2, 2, 1):
        version = write_rows(make_sales(number), "captured", mode="append", app=("service", number))
        assert version.number == number
    assert ms.Dataset("captured").polars()["id"].to_list() == [1, 2]


def test_commit_of_another_program_is_named(client):
    from deltalake import write_deltalake

    ms.write(make_sales(1), "sales")
    write_deltalake(client.home.tables / "sales", make_sales(2), mode="append")
    with pytest.raises(Conflict, match="DATA-014"):
        ms.write(make_sales(3), "sales", mode="append")
    assert ms.Dataset("sales").polars()["id"].to_list() == [1]
    assert ms.write(make_sales(3), "sales").polars()["id"].to_list() == [3]


def test_other_reader_sees_an_ordinary_table(client):
    from deltalake import DeltaTable

    ms.write(make_sales(1, 2), "sales")
    assert pl.DataFrame(DeltaTable(client.home.tables / "sales").scan()).sort("id").equals(make_sales(1, 2))


def test_csv_is_ingested_in_the_types_of_the_contract(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_text("id,price,at,shop,code\n1,2.50,2020-01-01T00:00:00Z,NA,007\n2,NA,2020-01-02T00:00:00Z,x,008\n")
    dataset = ms.write(ms.source(str(path), na="NA"), "sales", contract=Sale)
    assert dataset.polars().rows() == [(1, 2.5, START, None, "007")]
    assert dataset.quarantined().rows() == [("price null", 2, "2", None, "2020-01-02T00:00:00Z", "x", "008")]


def test_handles_travel_between_steps_and_keep_them_cached(client, tmp_path):
    path = tmp_path / "sales.csv"
    path.write_text("id,price,at\n1,2.50,2020-01-01T00:00:00Z\n")

    @ms.step
    def ingest(source: ms.source) -> ms.Dataset:
        return ms.write(source, "sales", contract=Sale, mode="upsert")

    @ms.step
    def double(sales: ms.Dataset) -> ms.Dataset:
        return ms.write(sales.polars().with_columns(pl.col("price") * 2), "doubled")

    for _ in range(2):
        made = double(ingest(ms.source(str(path))))
        assert made.polars()["price"].to_list() == [5.0]
    path.write_text("id,price,at\n1,2.50,2020-01-01T00:00:00Z\n2,3.00,2020-01-02T00:00:00Z\n")
    assert double(ingest(ms.source(str(path)))).polars()["price"].to_list() == [5.0, 6.0]
    runs = client.ask(ListRuns(kind="step"))[::-1]
    assert [(run.name, run.cached_from is not None) for run in runs] == [
        ("ingest", False), ("double", False), ("ingest", True), ("double", True), ("ingest", False), ("double", False),
    ]  # fmt: skip
