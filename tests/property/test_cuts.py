"""Parts of a stream: the same for the same rows, however they come; and rows read in batches are those of the scan."""

import polars as pl
from deltalake import WriterProperties, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mainspring.data.cuts import cut_rows, weigh_rows
from mainspring.data.places import place_table
from mainspring.data.scans import open_scan
from mainspring.data.tables import Table
from mainspring.store.homes import place_home

texts = st.text("aé", max_size=40) | st.none()
rows = st.lists(st.tuples(texts, st.lists(texts, max_size=3) | st.none()), min_size=1, max_size=40)
SCHEMA = {"text": pl.String(), "texts": pl.List(pl.String())}


@given(rows, st.lists(st.integers(1, 9), min_size=1), st.integers(1, 12), st.integers(1, 120))
@settings(max_examples=60, deadline=None)
def test_rows_are_cut_at_the_same_places_however_they_come(given_rows, pieces, part_rows, part_bytes):
    frame = pl.DataFrame(given_rows, schema=SCHEMA, orient="row").with_row_index("id")
    batches, at = [], 0
    while at < frame.height:
        size = pieces[len(batches) % len(pieces)]
        batches.append(frame[at : at + size])
        at += size
    parts = list(cut_rows(iter(batches), part_rows, part_bytes))
    assert_frame_equal(pl.concat(parts), frame)
    whole = list(cut_rows([frame], part_rows, part_bytes))
    assert [part["id"].to_list() for part in parts] == [part["id"].to_list() for part in whole]
    for number, part in enumerate(parts):
        weight = weigh_rows(part).sum()
        assert part.height <= part_rows
        assert weight <= part_bytes or part.height == 1
        if number + 1 < len(parts):  # it was full: the next row had no room
            more = weight + weigh_rows(parts[number + 1][:1]).item()
            assert part.height == part_rows or more > part_bytes


def make_table(home, frame):
    """Write two files with many row groups, and return the manifest of both."""
    place = place_table(home, "rows")
    small = WriterProperties(max_row_group_size=30, write_batch_size=10)
    half = frame.height // 2
    write_deltalake(place.address, frame[:half], writer_properties=small)
    first = Table(place).describe(0, [])["files"]
    write_deltalake(place.address, frame[half:], writer_properties=small, mode="append")
    return Table(place).describe(1, first)


def test_batches_are_the_rows_of_the_scan_from_any_row_on(tmp_path):
    home = place_home(tmp_path)
    frame = pl.DataFrame({"id": range(500), "text": ["x" * (number % 50) for number in range(500)]})
    scan = open_scan(home, make_table(home, frame))
    for narrowed, wanted in (
        (scan, frame),
        (scan.within("id", 240, 260).select("text"), frame[240:260].select("text")),
        (scan.within("id", 400, None), frame[400:]),
        (scan.within("id", 900, None), frame[:0]),
    ):
        for after in (0, 7, 19, 249, 250, 251, 500):
            batches = list(narrowed.stream(90, after=after, read_bytes=600))
            assert all(0 < batch.height <= 90 for batch in batches)
            found = pl.concat(batches) if batches else wanted[:0]
            assert_frame_equal(found, wanted[after:])
    sizes = [batch.estimated_size() for batch in scan.stream(500, read_bytes=600)]
    assert sum(sizes[1:]) / len(sizes[1:]) < 1_200
