"""What `log` keeps of each type, how it comes back, and what it refuses without losing anything."""

import math
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import mainspring as ms
from mainspring.cli.main import cli
from mainspring.domain.errors import Invalid, NotFound, Unavailable
from mainspring.sdk.context import active_run

pytestmark = pytest.mark.usefixtures("client")


@pytest.fixture
def run(client):
    """A run that goes on; what it logged is asked for after its end."""
    with ms.start_run("log") as started:
        yield started


def keep(run, **values):
    """Log values and return what was kept, as the owner has it."""
    ms.log(**values)
    run.__exit__(None, None, None)
    return ms.Run(run.id).artifacts


def picture(shape):
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


class Arrow:
    """A table of a library that speaks Arrow and nothing else."""

    def __init__(self, frame):
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema=None):
        return self._frame.__arrow_c_stream__(requested_schema)


def make_pandas(columns, index=None):
    """Return what pandas' frames look like to `log`, for machines without pandas."""

    class Column:
        def __init__(self, values):
            self._values = values

        def to_numpy(self):
            return np.array(self._values)

        def tolist(self):
            return list(self._values)

    class RangeIndex:
        pass

    class DataFrame:
        def __init__(self, columns):
            self.columns = list(columns)
            self.index = RangeIndex()
            self._columns = columns

        def __getitem__(self, name):
            return Column(self._columns[name])

    DataFrame.__module__ = "pandas.core.frame"
    return DataFrame(columns)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4), (1, 1)])
def test_pictures_of_arrays_come_back_as_they_were(run, shape):
    pillow = pytest.importorskip("PIL.Image")
    array = picture(shape)
    found = keep(run, image=array)["image"]
    assert (found.load().dtype, found.load().shape) == (np.uint8, shape)
    assert (found.load() == array).all()
    assert found.summary.startswith(f"image {shape[1]} x {shape[0]}, ")
    import io

    shown = np.asarray(pillow.open(io.BytesIO(found._repr_png_())))
    assert (shown == array.reshape(shown.shape)).all()


def test_figures_pictures_and_plots(run):
    pillow = pytest.importorskip("PIL.Image")
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2, 3])

    class Plot:
        def to_json(self):
            return '{"data": [{"y": [1, 2]}], "layout": {}}'

    Plot.__module__ = "plotly.graph_objs._figure"
    found = keep(run, figure=figure, photo=pillow.fromarray(picture((5, 7, 3))), plot=Plot())
    for name in ("figure", "photo"):
        assert found[name].load().startswith(b"\x89PNG")
    assert found["photo"].summary.startswith("image 7 x 5")
    assert found["plot"].load() == {"data": [{"y": [1, 2]}], "layout": {}}


def test_tables_of_every_library(run):
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    pandas = make_pandas({"a": [1.5, 2.5], "b": ["x", math.nan]})
    found = keep(run, polars=frame, arrow=Arrow(frame), pandas=pandas)
    assert found["polars"].load().equals(frame)
    assert found["arrow"].load().equals(frame)
    assert found["pandas"].load().to_dict(as_series=False) == {"a": [1.5, 2.5], "b": ["x", None]}
    assert found["arrow"].summary.startswith("table of 2 rows x 2")


def test_texts_json_files_and_folders(run, tmp_path):
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "b.bin").write_bytes(bytes(200_000))
    (tmp_path / "a.txt").write_text("hello")
    found = keep(run, note="words", report={"a": [1, {"b": None}]}, file=tmp_path / "a.txt", folder=folder)
    (tmp_path / "a.txt").write_text("changed")
    (folder / "below" / "b.bin").unlink()
    assert (found["note"].load(), found["report"].load()) == ("words", {"a": [1, {"b": None}]})
    assert found["file"].load().read_text() == "hello"
    assert (found["folder"].load() / "below" / "b.bin").read_bytes() == bytes(200_000)


def test_a_dict_of_values_is_logged_value_by_value(run):
    found = keep(run, epoch={"loss": np.float32(0.5), "deep": {"array": np.arange(3)}, "note": "x"})
    assert set(found) == {"epoch.deep.array", "epoch.note"}
    assert ms.Run(run.id).metrics == {"epoch.loss": 0.5}


def test_steps_of_artifacts(run):
    ms.log(note="a")
    ms.log(note="b")
    ms.log(note="h", step=7)
    ms.log(note="B", step=1)
    found = keep(run, note="last")["note"]
    assert found.steps == (0, 7, 1, 2)
    assert (found.load(), found.load(1), found.load(7)) == ("last", "B", "h")
    with pytest.raises(NotFound, match="HOME-010: note was not logged at step 5"):
        found.load(5)
    shown = CliRunner().invoke(cli, ["runs", "show", run.id]).stdout
    assert "note: 'last', 4 B, step 2 of 4" in shown


def test_numbers_that_are_not_finite(run):
    for value in (math.nan, math.inf, -math.inf, 1.0):
        ms.log(x=value)
    ms.log_params(rate=math.nan, most=math.inf)
    run.__exit__(None, None, None)
    values = [value for _, _, value in ms.Run(run.id).series("x")]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, 1.0]
    assert ms.Run(run.id).params == {"rate": "nan", "most": "inf"}


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({f"k{number}": 1.0 for number in range(1_000_000)}, "LOG-001: 1,000,000 names in one call"),
        ({"good": 1.0, "bad\x00": 1.0}, "STEP-009"),
        ({"good": 1.0, "x" * 251: 1.0}, "STEP-009"),
        ({"good": 1.0, "\ud800": 1.0}, "STEP-009"),
        ({"good": 1.0, "system/cpu_cores": 1.0}, "STEP-009"),
        ({"good": 1.0, "huge": 10**400}, "STEP-009: huge is a whole number above"),
        ({"good": 1.0, "generator": (each for each in ())}, "STEP-001"),
        ({"good": 1.0, "missing": Path("/nowhere/at/all")}, "STEP-001"),
    ],
)
def test_a_refused_call_logs_nothing_and_the_run_goes_on(run, values, code):
    ms.log(good=0.5)
    with pytest.raises(Invalid, match=code):
        ms.log(values)
    ms.log(good=0.25)
    run.__exit__(None, None, None)
    assert [(step, value) for step, _, value in ms.Run(run.id).series("good")] == [(0, 0.5), (1, 0.25)]
    assert ms.Run(run.id).metrics == {"good": 0.25}
    assert ms.Run(run.id).artifacts == {}


@pytest.mark.parametrize("step", [-1, True, 1.5, "x", 2**63])
def test_steps_that_are_none(run, step):
    with pytest.raises(Invalid, match="STEP-009: step="):
        ms.log({"a": 1.0}, step=step)


def test_names_are_counted_over_the_whole_run(run):
    for part in range(10):
        ms.log({f"{part}.{number}": 1.0 for number in range(999)})
    with pytest.raises(Invalid, match="LOG-001: log would have 10,979 names"):
        ms.log({f"more.{number}": 1.0 for number in range(989)})
    ms.log({f"more.{number}": 1.0 for number in range(10)})
    run.__exit__(None, None, None)
    assert len(ms.Run(run.id).metrics) == 10_000


def test_a_file_of_ten_gigabytes_is_refused_before_a_byte_is_copied(run, tmp_path, client):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10_000_000_000)
    with pytest.raises(Invalid, match=r"LOG-002: weights: the file .* has 10,000 MB, above 5,000 MB"):
        ms.log(weights=tmp_path / "large", loss=1.0)
    with pytest.raises(Invalid, match=r"LOG-002: weights: the folder .* has 10,0"):
        ms.log(weights=tmp_path / ".")
    assert not any(client.home.blobs.rglob("*/*/*"))


def test_the_limit_of_files_is_a_setting(run, tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(bytes(2_000_000))
    monkeypatch.setenv("MAINSPRING_MOST_LOGGED_MB", "1.5")
    with pytest.raises(Invalid, match="LOG-002"):
        ms.log(file=tmp_path / "a.bin")
    monkeypatch.setenv("MAINSPRING_MOST_LOGGED_MB", "2")
    assert keep(run, file=tmp_path / "a.bin")["file"].load().stat().st_size == 2_000_000


def test_a_full_disk_is_told_and_the_series_goes_on(run, monkeypatch):
    ms.log(loss=1.0)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, content: write(handle, content[:3]))
        with pytest.raises(Unavailable, match="HOME-006"):
            ms.log(loss=2.0)
    ms.log(loss=3.0)
    assert active_run().run.id == run.id
    run.__exit__(None, None, None)
    assert [value for _, _, value in ms.Run(run.id).series("loss")] == [1.0, 3.0]
