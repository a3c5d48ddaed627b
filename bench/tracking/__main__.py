"""Ask our server and MLflow's the same in turns, and print what each does, and how many times more ours does."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.processes import run
from bench.tracking.asking import Absent
from bench.tracking.cases import HISTORY_POINTS, Measured, list_cases
from bench.tracking.records import seed
from bench.tracking.servers import Server, start_mainspring, start_mlflow

_PROGRAM = Path(__file__).parent / "program.py"
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
    """A line of the table; `less` tells that less is better."""

    name: str
    unit: str
    ours: list[Measured]
    theirs: list[Measured]
    floor: float | None
    aim: float | None

    @property
    def ratio(self) -> float | None:
        """How many times better ours is, by the medians."""
        if not self.ours or not self.theirs:
            return None
        ours, theirs = (statistics.median(value for value, _ in side) for side in (self.ours, self.theirs))
        return theirs / ours if self.unit in {"ms", "s", "MB"} else ours / theirs


def compare(ours: Server, theirs: Server, options: argparse.Namespace) -> list[Row]:
    """Measure every case of both in turns."""
    seeded = {}
    for server in (ours, theirs):
        begun = time.perf_counter()
        seeded[server.name] = seed(server, options.runs, HISTORY_POINTS)
        print(f"  {server.name} filled in {time.perf_counter() - begun:.0f} s", flush=True)
    rows = []
    for name, unit, case, floor, aim in list_cases():
        if options.only and not any(each in name for each in options.only):
            continue
        found: dict[str, list[Measured]] = {ours.name: [], theirs.name: []}
        for number in range(options.rounds):
            for server in (ours, theirs) if number % 2 == 0 else (theirs, ours):
                measured = _try(lambda: case(server, seeded[server.name], options.seconds), server, name)  # noqa: B023 - called at once
                found[server.name] += [measured] if measured else []
        rows.append(Row(name, unit, found[ours.name], found[theirs.name], floor, aim))
        print_row(rows[-1])
    if not options.only or "client" in options.only:
        rows += _compare_clients(ours, theirs, options)
    return rows


def _try(measure: Callable[[], Measured], server: Server, name: str) -> Measured | None:
    try:
        return measure()
    except Absent as fault:
        print(f"  {server.name} has no {name}: {fault}")
        return None


def _compare_clients(ours: Server, theirs: Server, options: argparse.Namespace) -> list[Row]:
    told: dict[str, list[dict[str, float]]] = {ours.name: [], theirs.name: []}
    for number in range(options.rounds):
        for server in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))},
                "MLFLOW_TRACKING_URI": server.url,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                **({"MLFLOW_TRACKING_TOKEN": server.token} if server.token else {}),
            }
            command = [str(options.mlflow), str(_PROGRAM), str(options.seconds)]
            done = subprocess.run(command, env=environment, check=True, capture_output=True)
            told[server.name].append(json.loads(done.stdout.splitlines()[-1]))
    rows = []
    for name, unit, field, floor, aim in (
        ("MLflow's client, log_metric", "calls/s", "log_metric", 2.5, 3.5),
        ("MLflow's client, start to end", "ms", "run_ms", 3.0, 5.0),
    ):
        sides = [[(each[field], 0.0) for each in told[server.name]] for server in (ours, theirs)]
        rows.append(Row(name, unit, sides[0], sides[1], floor, aim))
        print_row(rows[-1])
    return rows


def weigh(ours: list[Server], theirs: list[Server]) -> list[Row]:
    """Compare how soon servers answer, and what they hold when idle."""
    time.sleep(_IDLE_S)
    rows = [
        Row("ready, fresh record", "s", *([(each.ready_s, 0.0) for each in side] for side in (ours, theirs)), 10, 25),
        Row(
            "idle memory, PSS",
            "MB",
            *([(each.read_memory_mb(), 0.0) for each in side] for side in (ours, theirs)),
            4,
            8,
        ),
    ]
    for row in rows:
        print_row(row)
    return rows


def print_row(row: Row) -> None:
    """Print a line of the table, as Markdown."""

    def show(side: list[Measured]) -> str:
        if not side:
            return "-"
        values, cpu_ms = [value for value, _ in side], statistics.median(cpu for _, cpu in side)
        spread = f" ({min(values):,.4g}..{max(values):,.4g})" if len(values) > 1 else ""
        return f"{statistics.median(values):,.4g}{spread}" + (f", {cpu_ms:.3g}" if cpu_ms else "")

    ratio, floor = row.ratio, row.floor
    verdict = "" if ratio is None or floor is None else ("yes" if ratio >= floor else "NO")
    least = f"{floor:g} / {row.aim:g}" if floor is not None and row.aim is not None else ""
    told = f"{ratio:.3g}x" if ratio is not None else "-"
    cpu = [statistics.median(cpu_ms for _, cpu_ms in side) if side else 0.0 for side in (row.ours, row.theirs)]
    less = f"{cpu[1] / cpu[0]:.3g}x" if all(cpu) else ""
    print(
        f"| {row.name} | {row.unit} | {show(row.ours)} | {show(row.theirs)} | {told} | {less} | {least} | {verdict} |",
        flush=True,
    )


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
    parser.add_argument("--record", default="", help="address of an empty PostgreSQL database for our record")
    parser.add_argument("--only", nargs="*", default=[], help="cases whose names hold one of these words")
    options = parser.parse_args()
    if options.mlflow is None:
        parser.error("--mlflow PYTHON, or MAINSPRING_TEST_MLFLOW: an environment of its own that has MLFlow")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"Python {platform.python_version()}, {machine}")
    print("both on loopback, every acknowledged write synced; medians (least..most), CPU ms of the server for each")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for against in options.against:
            ours = start_mainspring(folder / f"ours-{against}", record=options.record)
            theirs = start_mlflow(options.mlflow, folder / f"theirs-{against}", best=against == "best")
            try:
                print(f"\n| {theirs.name} | unit | mainspring | mlflow | ratio | in CPU | least / aim | reached |")
                print("|---|---|---|---|---|---|---|---|")
                rows += weigh([ours], [theirs])
                rows += compare(ours, theirs, options)
            finally:
                ours.end()
                theirs.end()
        print(f"\nms.log: {measure_log(folder):.1f} us a call, median")
    below = [row.name for row in rows if row.ratio is not None and row.floor is not None and row.ratio < row.floor]
    print(f"\n{'below the least: ' + ', '.join(below) if below else 'every ratio is reached'}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
