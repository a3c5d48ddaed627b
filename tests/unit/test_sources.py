"""Sources: formats, patterns, and what cannot be read."""

import gzip
import zipfile

import polars as pl
import pytest

import mainspring as ms
from mainspring.errors import Invalid

CSV = "id,name,at\n1,x,2020-01-01T00:00:00Z\n2,NA,2020-01-02T00:00:00Z\n"
ROWS = pl.DataFrame({"id": [1, 2], "name": ["x", None]})


def write_file(path, content=CSV):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner.csv", content)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)
    return str(path)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.zip", "a.csv.gz"])
def test_csv_is_read_with_inferred_types(tmp_path, name):
    rows = ms.source(write_file(tmp_path / name), na="NA").read()
    assert rows.select("id", "name").equals(ROWS)
    assert rows["at"].dtype == pl.Datetime("us")


def test_columns_of_a_contract_stay_text(tmp_path):
    rows = ms.source(write_file(tmp_path / "a.csv")).read(text={"id"})
    assert rows["id"].to_list() == ["1", "2"]
    assert rows["name"].to_list() == ["x", "NA"]


def test_parquet_and_json_lines_keep_their_types(tmp_path):
    ROWS.write_parquet(tmp_path / "a.parquet")
    ROWS.write_ndjson(tmp_path / "a.jsonl")
    assert ms.source(str(tmp_path / "a.parquet")).read().equals(ROWS)
    assert ms.source(f"file://{tmp_path}/a.jsonl").read().equals(ROWS)


def test_pattern_reads_files_in_order_of_their_names(tmp_path):
    write_file(tmp_path / "p2.csv", "id\n3\n")
    write_file(tmp_path / "p1.csv", "id\n1\n2\n")
    assert ms.source(f"{tmp_path}/p*.csv").read()["id"].to_list() == [1, 2, 3]


def test_types_are_inferred_over_all_files(tmp_path):
    write_file(tmp_path / "p1.csv", "id\n1\n")
    write_file(tmp_path / "p2.csv", "id\nx\n")
    assert ms.source(f"{tmp_path}/p*.csv").read()["id"].to_list() == ["1", "x"]


def test_other_columns_in_a_later_file_are_named(tmp_path):
    write_file(tmp_path / "p1.csv", "id,name\n1,x\n")
    write_file(tmp_path / "p2.csv", "id\n1\n")
    with pytest.raises(Invalid, match=r"DATA-005: .*p2.csv has other columns .* lacks name"):
        ms.source(f"{tmp_path}/p*.csv").read()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("none.csv", None, "DATA-003: .*none.csv is not there"),
        ("a.csv", "", "DATA-004: .*a.csv is empty"),
        ("a.csv", "id,name\n", "DATA-004: .*has a header and no row"),
        ("a.csv.zip", "", "DATA-004: .*is empty"),
        ("a.xyz", "id\n1\n", "DATA-003: .*tells no format"),
        ("a.parquet", "id\n1\n", "DATA-003: .*a.parquet"),
        ("a.jsonl", "{broken", "DATA-003: .*a.jsonl"),
    ],
)
def test_unreadable_and_empty_sources_have_one_clear_error(tmp_path, name, content, code):
    if content is not None:
        write_file(tmp_path / name, content)
    with pytest.raises(Invalid, match=code):
        ms.source(str(tmp_path / name)).read()


def test_broken_archive_is_named(tmp_path):
    (tmp_path / "a.csv.zip").write_bytes(b"PK no archive")
    with pytest.raises(Invalid, match=r"DATA-003: .*a\.csv\.zip"):
        ms.source(str(tmp_path / "a.csv.zip")).read()


def test_folder_is_no_source(tmp_path):
    with pytest.raises(Invalid, match=r"DATA-003: .* is a folder"):
        ms.source(str(tmp_path)).read()


def test_unknown_address_and_option_are_named(tmp_path):
    with pytest.raises(Invalid, match="DATA-012: no connector reads ftp://; there are file"):
        ms.source("ftp://host/a.csv").read()
    with pytest.raises(Invalid, match="DATA-003: files have no option 'sep'"):
        ms.source(write_file(tmp_path / "a.csv"), sep=";").read()


def test_digest_follows_the_content_not_the_place(tmp_path):
    first = ms.source(write_file(tmp_path / "a.csv")).__mainspring_digest__()
    assert ms.source(write_file(tmp_path / "b.csv")).__mainspring_digest__() == first
    assert ms.source(write_file(tmp_path / "b.csv", CSV + "3,y,\n")).__mainspring_digest__() != first
    assert ms.source(str(tmp_path / "a.csv"), na="NA").__mainspring_digest__() != first
