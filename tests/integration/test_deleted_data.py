"""A deleted version of a dataset stays deleted whatever is written after it, and comes back as it was."""

import polars as pl
import pytest

import mainspring as ms
from mainspring.domain.errors import Conflict, NotFound
from mainspring.domain.messages import BeginRun, GetVersion


@pytest.fixture(autouse=True)
def _owner(client):
    """End the owner that the tests start."""


def write(start, **options):
    return ms.write(pl.DataFrame({"id": [start, start + 1], "value": [0.5, 1.5]}), "rows", **options)


def read(reference):
    return sorted(ms.Dataset(reference).polars()["id"].to_list())


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_what_is_written_after_a_deletion_comes_after_what_is_left(mode):
    options = {"mode": mode, "key": "id"} if mode == "upsert" else {"mode": mode}
    write(0, **options)
    write(10, **options)
    third = write(20, **options)
    assert third.delete() == ["rows@3"]
    assert ms.Dataset("rows").reference == "rows@2"
    assert read("rows") == [0, 1, 10, 11]
    fourth = write(30, **options)
    assert fourth.reference == "rows@4"
    assert read("rows@4") == [0, 1, 10, 11, 30, 31]
    assert write(40, **options).reference == "rows@5"
    assert read("rows") == [0, 1, 10, 11, 30, 31, 40, 41]
    with pytest.raises(NotFound, match="was deleted") as caught:
        read("rows@3")
    assert caught.value.fix == "mainspring data restore rows@3"
    assert ms.Dataset("rows@3").restore() == ["rows@3"]
    assert read("rows@3") == [0, 1, 10, 11, 20, 21]
    assert read("rows") == [0, 1, 10, 11, 30, 31, 40, 41]


def test_deleted_content_that_is_written_again_is_the_latest(client):
    write(0)
    write(10).delete()
    again = write(10)
    assert (again.reference, read("rows")) == ("rows@3", [10, 11])
    assert ms.Dataset("rows").delete(all=True) == ["rows@3", "rows@1"]
    with pytest.raises(NotFound):
        read("rows")
    back = write(10, mode="append")
    assert read("rows") == [10, 11]
    reader = client.ask(BeginRun(kind="step", name="reader")).run
    client.ask(GetVersion(kind="dataset", reference=back.reference, run_id=reader.id))
    with pytest.raises(Conflict, match="reader") as caught:
        back.delete()
    assert caught.value.code == "KEEP-002"
