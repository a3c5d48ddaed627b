"""Ask our server and MLflow's the same in turns, and print what each does, and how many times more ours does."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.processes import run
from bench.tracking.asking import Absent
from bench.tracking.cases import CLIENT_CASES, HISTORY_POINTS, Measured, list_cases
from bench.tracking.records import Seeded, seed
from bench.tracking.servers import Server, start_mainspring, start_mlflow

_ROOT = Path(__file__).parents[2]
_IDLE_S = 5.0
_LOG = """
import time
import mainspring as ms
spent = []
with ms.start_run("bench"):
    for number in range(3_000):
        begun = time.perf_counter()
        ms.log(loss=0.5, step=number)
        spent.append(time.perf_counter() - begun)
print(1e6 * sorted(spent)[len(spent) // 2])
"""


class Row(NamedTuple):
    """A line of the table: what was measured of ours, on PostgreSQL too where that was asked for, and of theirs."""

    name: str
    unit: str
    ours: list[list[Measured]]
    theirs: list[Measured]
    floor: float | None
    aim: float | None

    @property
    def ratios(self) -> list[float]:
        """How many times better each of ours is, by the medians."""
        if not self.theirs or not all(self.ours):
            return []
        *ours, theirs = (statistics.median(value for value, _ in side) for side in (*self.ours, self.theirs))
        return [theirs / each if self.unit in {"ms", "s", "MB"} else each / theirs for each in ours]

    @property
    def is_below(self) -> bool:
        """Whether ours on SQLite is less than its least."""
        return bool(self.ratios) and self.floor is not None and self.ratios[0] < self.floor


def compare(servers: dict[str, Server], seeded: dict[str, Seeded], options: argparse.Namespace) -> Iterator[Row]:
    """Measure every case of all in turns, the last of whom is theirs; fill the records that are not `seeded` first."""
    cases = [each for each in list_cases() if _is_wanted(each[0], options)]
    for each in servers if cases else ():
        if each not in seeded:
            begun = time.perf_counter()
            seeded[each] = seed(servers[each], options.runs, HISTORY_POINTS)
            print(f"  {each} filled in {time.perf_counter() - begun:.0f} s", flush=True)
    for name, unit, case, floor, aim in cases:
        found: dict[str, list[Measured]] = {each: [] for each in servers}
        for each in _take_turns(servers, options.rounds):
            measured = _try(lambda: case(servers[each], seeded[each], options.seconds), each, name)  # noqa: B023 - called at once
            found[each] += [measured] if measured else []
        *ours, theirs = found.values()
        yield Row(name, unit, ours, theirs, floor, aim)


def _is_wanted(name: str, options: argparse.Namespace) -> bool:
    return not options.only or any(each in name for each in options.only)


def _take_turns(servers: dict[str, Server], rounds: int) -> Iterator[str]:
    for number in range(rounds):
        yield from servers if number % 2 == 0 else reversed(servers)


def _try(measure: Callable[[], Measured], server: str, name: str) -> Measured | None:
    try:
        return measure()
    except Absent as fault:
        print(f"  {server} has no {name}: {fault}")
        return None


def compare_clients(servers: dict[str, Server], options: argparse.Namespace) -> Iterator[Row]:
    """Measure what a program with MLflow's own client feels, in turns."""
    wanted = [each for each in CLIENT_CASES if _is_wanted(each[0], options)]
    if not wanted:
        return
    told: dict[str, list[dict[str, list[float]]]] = {each: [] for each in servers}
    for each in _take_turns(servers, options.rounds):
        told[each].append(_run_program(servers[each], options))
    own = []
    for name, unit, field, floor, aim in wanted:
        found = {each: [one[field] for one in sides] for each, sides in told.items()}
        *ours, theirs = ([(value, server_ms) for value, server_ms, _ in sides] for sides in found.values())
        yield Row(name, unit, ours, theirs, floor, aim)
        each_own = (f"{each} {statistics.median(one[2] for one in sides):.2f}" for each, sides in found.items())
        own.append(f"{name}: {', '.join(each_own)}")
    print("\nCPU ms of the client itself, in the same time", *own, sep="\n- ")


def _run_program(server: Server, options: argparse.Namespace) -> dict[str, list[float]]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))},
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **({"MLFLOW_TRACKING_TOKEN": server.token} if server.token else {}),
    }
    command = [str(options.mlflow), "-m", "bench.tracking.program", str(options.seconds), *map(str, server.pids)]
    done = subprocess.run(command, env=environment, cwd=_ROOT, check=True, capture_output=True)
    told: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return told


def weigh(folder: Path, records: Sequence[str], theirs: Server, options: argparse.Namespace) -> Iterator[Row]:
    """Compare how soon servers answer over a fresh record, and what their own processes hold when idle."""
    if not _is_wanted("ready, fresh record idle memory", options):
        return
    with ExitStack() as stack:
        fresh = []
        for number, record in enumerate(records):
            fresh.append(start_mainspring(folder / str(number), record=record))
            stack.callback(fresh[-1].end)
        time.sleep(_IDLE_S)
        *ours, ready = ([(each.ready_s, 0.0)] for each in (*fresh, theirs))
        yield Row("ready, fresh record", "s", ours, ready, 10, 25)
        *ours, held = ([(each.read_memory_mb(), 0.0)] for each in (*fresh, theirs))
        yield Row("idle memory, PSS", "MB", ours, held, 4, 8)


@contextmanager
def open_ours(folder: Path, options: argparse.Namespace) -> Iterator[tuple[dict[str, Server], Callable[[], list[str]]]]:
    """Start ours over a SQLite file and, where asked for, over a PostgreSQL that syncs.

    Returns
    -------
    tuple of dict of str to Server and callable
        The servers; the callable makes as many fresh records.
    """
    with ExitStack() as stack:
        servers = {"mainspring": start_mainspring(folder / "ours")}
        stack.callback(servers["mainspring"].end)
        if not options.postgresql:
            yield servers, lambda: [""]
            return
        from tests.support.postgresql import PostgresqlServer

        database = PostgresqlServer(fsync=True)
        stack.callback(database.close)
        address, name = database.make_database("ours"), "on PostgreSQL"
        servers[name] = start_mainspring(folder / "shared", name, address, database.process.pid)
        stack.callback(servers[name].end)
        yield servers, lambda: ["", database.make_database(f"fresh {secrets.token_hex(4)}")]


def print_head(name: str, ours: Sequence[str]) -> None:
    """Print the head of a table, as Markdown."""
    columns = [name, "unit", *ours, "mlflow", *(f"ratio {each}" for each in ours), "in CPU", "least / aim", "reached"]
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def print_row(row: Row) -> None:
    """Print a line of the table, as Markdown."""

    def show(side: list[Measured]) -> str:
        if not side:
            return "-"
        values, cpu_ms = [value for value, _ in side], statistics.median(cpu for _, cpu in side)
        spread = f" ({min(values):,.4g}..{max(values):,.4g})" if len(values) > 1 else ""
        return f"{statistics.median(values):,.4g}{spread}" + (f", {cpu_ms:.3g}" if cpu_ms else "")

    ratios = [f"{each:.3g}x" for each in row.ratios] or ["-" for _ in row.ours]
    cpu = [statistics.median(cpu_ms for _, cpu_ms in side) if side else 0.0 for side in (row.ours[0], row.theirs)]
    less = f"{cpu[1] / cpu[0]:.3g}x" if all(cpu) else ""
    least = f"{row.floor:g} / {row.aim:g}" if row.floor is not None else ""
    reached = "" if row.floor is None or not row.ratios else "NO" if row.is_below else "yes"
    cells = [row.name, row.unit, *map(show, (*row.ours, row.theirs)), *ratios, less, least, reached]
    print(f"| {' | '.join(cells)} |", flush=True)


def measure_log(folder: Path) -> float:
    """Return the median microseconds of a call of ``ms.log``."""
    return float(run([sys.executable, "-c", _LOG], MAINSPRING_HOME=str(folder / "own"), MAINSPRING_IDLE_S="1"))


def main() -> int:
    """Print a table for each opponent; 1 when a ratio is below its least."""
    parser = argparse.ArgumentParser(prog="python -m bench.tracking", description=__doc__)
    parser.add_argument("--mlflow", type=Path, default=os.environ.get("MAINSPRING_TEST_MLFLOW"), help="its Python")
    parser.add_argument("--against", nargs="*", choices=("best", "defaults"), default=["best", "defaults"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each case in each round")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--postgresql", action="store_true", help="ours also over a PostgreSQL of its own")
    parser.add_argument("--only", nargs="*", default=[], help="cases whose names hold one of these words")
    options = parser.parse_args()
    if options.mlflow is None:
        parser.error("--mlflow PYTHON, or MAINSPRING_TEST_MLFLOW: an environment of its own that has MLFlow")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"Python {platform.python_version()}, {machine}")
    print("both on loopback, every acknowledged write synced; medians (least..most), CPU ms of the server for each")
    below: list[str] = []
    with tempfile.TemporaryDirectory() as name, open_ours(Path(name), options) as (ours, make_records):
        folder = Path(name)
        seeded: dict[str, Seeded] = {}
        for against in options.against:
            theirs = start_mlflow(options.mlflow, folder / f"theirs-{against}", best=against == "best")
            servers = {**ours, theirs.name: theirs}
            try:
                print_head(theirs.name, list(ours))
                for row in itertools.chain(
                    weigh(folder / f"fresh-{against}", make_records(), theirs, options),
                    compare(servers, seeded, options),
                    compare_clients(servers, options),
                ):
                    print_row(row)
                    below += [row.name] if row.is_below else []
            finally:
                theirs.end()
        print(f"\nms.log: {measure_log(folder):.1f} us a call, median")
    print(f"\n{'below the least: ' + ', '.join(below) if below else 'every ratio is reached'}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
