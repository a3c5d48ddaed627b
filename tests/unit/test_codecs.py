"""Every kind of value comes back equal, in a format of its own; what cannot be stored is named."""

import dataclasses
import math
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.memory import Memory

from mainspring.domain.errors import Denied, Invalid, NotFound
from mainspring.security.seals import Seal
from mainspring.store.blobs import FolderBlobs
from mainspring.store.files import LocalFileSystem
from mainspring.tracking.codecs import load_value, store_value

SEAL = Seal(b"k" * 32)


@pytest.fixture
def blobs(tmp_path):
    return FolderBlobs(tmp_path / "blobs", LocalFileSystem())


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    weights: object = None


class Held:
    def __init__(self, inner):
        self.inner = inner


def trip(value, blobs):
    stored = store_value(value, blobs, SEAL)
    assert stored.summary
    return stored.codec, load_value(stored, blobs, SEAL)


@pytest.mark.parametrize(
    ("value", "codec"),
    [
        (None, "json"),
        (True, "json"),
        (12345678901234567890123, "json"),
        ({"a": [1, 2.5, "x", None]}, "json"),
        ("text \ud800", "text"),
        (b"\x00\xff", "bytes"),
        ((1, "a", [2]), "collection"),
        ({1, 2}, "sealed"),
        (Point(1, "w"), "dataclass"),
    ],
)
def test_plain_values_come_back(value, codec, blobs):
    found, back = trip(value, blobs)
    assert (found, back, type(back)) == (codec, value, type(value))


def test_nan_and_infinity_are_kept(blobs):
    _, back = trip([math.nan, math.inf], blobs)
    assert math.isnan(back[0])
    assert back[1] == math.inf


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.array("2013-01-01", dtype="datetime64[s]"),
        np.array([("a", 1)], dtype=[("s", "U3"), ("n", "i4")]),
        np.empty((0, 3)),
    ],
)
def test_arrays_come_back_without_pickle(value, blobs):
    codec, back = trip(value, blobs)
    assert codec == "ndarray"
    assert back.dtype == value.dtype
    np.testing.assert_array_equal(back, value)


def test_a_numpy_scalar_stays_one(blobs):
    codec, back = trip(np.float32(0.5), blobs)
    assert (codec, back, type(back)) == ("ndarray", 0.5, np.float32)


def test_an_array_of_objects_is_sealed(blobs):
    codec, back = trip(np.array([1, "a", None], dtype=object), blobs)
    assert codec == "sealed"
    assert back.tolist() == [1, "a", None]


def test_tables_come_back(blobs):
    table = pl.DataFrame(
        {"a": [1, None], "s": ["x", None], "l": [[1], []], "c": pl.Series(["u", "v"]).cast(pl.Categorical)}
    )
    codec, back = trip(table, blobs)
    assert codec == "arrow"
    assert back.equals(table)
    assert back.schema == table.schema
    series = pl.Series("q", [1.5, None])
    assert trip(series, blobs)[1].equals(series, check_names=True)


def test_collections_and_dataclasses_keep_the_formats_of_their_parts(blobs):
    codec, back = trip({"x": np.arange(3), "n": 1}, blobs)
    assert codec == "collection"
    assert back["n"] == 1
    assert back["x"].tolist() == [0, 1, 2]
    codec, back = trip(Point(3, np.ones(2)), blobs)
    assert codec == "dataclass"
    assert (back.x, back.weights.tolist()) == (3, [1.0, 1.0])


def test_a_file_is_stored_by_content(blobs, tmp_path):
    file = tmp_path / "model.bin"
    file.write_bytes(b"one")
    stored = store_value(file, blobs, SEAL)
    assert load_value(stored, blobs, SEAL) == file
    file.write_bytes(b"two, longer")
    back = load_value(stored, blobs, SEAL)
    assert back != file
    assert (back.name, back.read_bytes()) == ("model.bin", b"one")


def test_a_folder_is_stored_with_its_files(blobs, tmp_path):
    folder = tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("a")
    stored = store_value(folder, blobs, SEAL)
    (folder / "sub" / "a.txt").unlink()
    assert (load_value(stored, blobs, SEAL) / "sub" / "a.txt").read_text() == "a"


def test_a_missing_file_is_refused(blobs, tmp_path):
    with pytest.raises(Invalid, match=r"STEP-001.*nothing\.bin does not exist"):
        store_value(tmp_path / "nothing.bin", blobs, SEAL)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (threading.Lock(), "the result is of type _thread.lock"),
        (Held({"key": threading.Lock()}), "the result.inner['key'] is of type _thread.lock"),
        ((number for number in [1]), "of type generator"),
        (pl.DataFrame({"a": [1]}).lazy(), "a polars LazyFrame"),
    ],
)
def test_what_cannot_be_stored_is_named(value, what, blobs):
    with pytest.raises(Invalid) as caught:
        store_value(value, blobs, SEAL)
    assert caught.value.code == "STEP-001"
    assert what in caught.value.what


def test_an_open_file_is_not_stored_as_its_content(blobs):
    with Path(__file__).open() as file, pytest.raises(Invalid, match=r"STEP-001.*\.inner is of type _io.TextIOWrapper"):
        store_value(Held(file), blobs, SEAL)


def test_another_project_cannot_open_sealed_values(blobs):
    other = Seal(b"o" * 32)
    for value in ({1, 2}, Point(1)):
        stored = store_value(value, blobs, SEAL)
        with pytest.raises(Denied, match="HOME-012"):
            load_value(stored, blobs, other)


def test_a_stored_class_that_is_gone_is_named(blobs, monkeypatch):
    stored = store_value(Point(1), blobs, SEAL)
    monkeypatch.delattr(f"{__name__}.Point")
    with pytest.raises(NotFound, match=r"STEP-010.*Point"):
        load_value(stored, blobs, SEAL)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(JSON | st.tuples(JSON, JSON))
def test_any_json_comes_back_equal(value):
    memory = Memory()
    back = load_value(store_value(value, memory, SEAL), memory, SEAL)
    assert back == value
    assert repr(back) == repr(value)


@dataclasses.dataclass
class Tagged(dict):
    """A dict that has a field besides."""

    tag: str = ""


def test_a_dataclass_that_is_more_than_its_fields_is_kept_whole(blobs):
    value = Tagged("a")
    value["key"] = 1
    codec, back = trip(value, blobs)
    assert codec == "sealed"
    assert (dict(back), back.tag) == ({"key": 1}, "a")


def test_a_list_that_holds_itself_comes_back(blobs):
    value = [1]
    value.append(value)
    codec, back = trip(value, blobs)
    assert codec == "sealed"
    assert back[1] is back


def test_an_empty_folder_that_is_gone_is_made_anew(blobs, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    stored = store_value(folder, blobs, SEAL)
    assert load_value(stored, blobs, SEAL) == folder
    folder.rmdir()
    back = load_value(stored, blobs, SEAL)
    assert back.is_dir()
    assert list(back.iterdir()) == []


def test_a_folder_that_holds_more_than_was_stored_is_not_it(blobs, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a").write_text("a")
    stored = store_value(folder, blobs, SEAL)
    (folder / "b").write_text("b")
    assert [each.name for each in load_value(stored, blobs, SEAL).iterdir()] == ["a"]


def test_a_file_that_changes_while_it_is_stored_is_not_taken_for_the_stored_one(blobs, tmp_path, monkeypatch):
    file = tmp_path / "model.bin"
    file.write_bytes(b"one")
    read = Path.read_bytes

    def read_and_change(path):
        content = read(path)
        if path == file:
            file.write_bytes(b"two, longer")
        return content

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", read_and_change)
        stored = store_value(file, blobs, SEAL)
    assert load_value(stored, blobs, SEAL).read_bytes() == b"one"


def test_a_file_whose_name_cannot_be_written_anew_is_refused(blobs, tmp_path):
    (tmp_path / "10:30.csv").write_text("a")
    for path in (tmp_path, tmp_path / "10:30.csv"):
        with pytest.raises(Invalid, match=r"STEP-001.*10:30\.csv"):
            store_value(path, blobs, SEAL)
