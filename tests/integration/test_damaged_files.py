"""Stored bytes that were cut, swapped or removed, met where they are read: one clear error, never a wrong answer."""

import time
from pathlib import Path

import polars as pl
import pytest
from tests.support.serving import save_model, wait_for_planes

import mainspring as ms
from mainspring.domain.messages import Deploy, GetService, ListRuns, PutVersion, StopService
from mainspring.errors import Invalid

ROWS = pl.DataFrame({"id": range(1_000)})
WAYS = ("cut", "swapped", "emptied")


def spoil(path, how, other):
    path.chmod(0o600)
    path.write_bytes({"cut": path.read_bytes()[:-20], "swapped": other.read_bytes(), "emptied": b""}[how])


made = []


@ms.step
def make(number: int) -> dict:
    """Make a value that is stored."""
    made.append(number)
    return {"made": [number] * 100}


@ms.step
def use(value: dict) -> int:
    """Use a value that was stored."""
    return len(value["made"])


@pytest.mark.parametrize("how", WAYS)
def test_a_damaged_value_answers_no_call(client, how):
    made.clear()
    make(1)
    make(2)
    second, first = client.ask(ListRuns(name="make"))
    spoil(client.blobs.path(first.outputs.digest), how, client.blobs.path(second.outputs.digest))
    with pytest.raises(Invalid, match="HOME-014"):
        ms.Run(first.id).result()
    assert use(make(1)) == 100
    assert made == [1, 2, 1]
    assert ms.Run(first.id).result() == {"made": [1] * 100}


@pytest.mark.parametrize("how", [*WAYS, "gone"])
def test_a_damaged_table_is_named_before_a_row_is_read(client, how):
    ms.write(ROWS, "sales")
    ms.write(ROWS.with_columns(pl.col("id") + 5_000, more=pl.lit("x")), "other")
    (path,), (other,) = ((client.home.tables / name).glob("*.parquet") for name in ("sales", "other"))
    if how == "gone":
        path.unlink()
    else:
        spoil(path, how, other)
    for read in (ms.Dataset("sales").polars, ms.Dataset("sales").head):
        with pytest.raises(Invalid, match="DATA-019") as caught:
            read()
        assert path.name in caught.value.what
    assert ms.Dataset("other").rows == 1_000


def register(client, folder, name, **options):
    files = save_model(folder / name, **options)
    manifest = {each: client.blobs.put(Path(path).read_bytes()) for each, path in files.items()}
    return client.ask(PutVersion(kind="model", name=name, digest=name, manifest=manifest))


@pytest.mark.parametrize("how", WAYS)
def test_a_damaged_model_is_not_loaded(client, tmp_path, how):
    """Least of all one whose bytes are those of another model, which would answer."""
    version, other = (register(client, tmp_path, name, scale=scale) for name, scale in (("late", 1.0), ("early", 0.5)))
    assert version.manifest["model.onnx"] != other.manifest["model.onnx"]
    paths = [client.blobs.path(each.manifest["model.onnx"]) for each in (version, other)]
    spoil(paths[0], how, paths[1])
    with pytest.raises(Invalid, match="HOME-014"):
        ms.Model("late").predict(pl.DataFrame({"wind": [3.0], "hour": [6], "code": ["0"]}))
    client.ask(Deploy(name="delays", model="late@1"))
    try:
        deadline, told = time.monotonic() + 60, {}
        while told.get("state") != "failed":
            assert time.monotonic() < deadline, told
            time.sleep(0.05)
            found = client.ask(GetService(name="delays"))
            told = (found.statistics or {}).get("revisions", {}).get("1", {})
        assert told["problem"]["code"] == "HOME-014"
        assert not found.statistics["ready"]
    finally:
        client.ask(StopService(name="delays"))
        wait_for_planes(client.home)
