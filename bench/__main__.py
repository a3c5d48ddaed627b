"""Measure everything and print each figure beside its budget."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from bench.budgets import find_breaches, read_budgets, tighten, write_budgets
from bench.cold import measure_cold
from bench.figures import Figure, print_figures
from bench.install import build_wheel, install_core, weigh
from bench.monitoring import measure_drift
from bench.owners import measure_owner
from bench.processes import measure_cpu
from bench.records import measure_records
from bench.searches import measure_searches
from bench.services import measure_services
from bench.steps import measure_steps


def measure_faces(repeats: int) -> list[Figure]:
    """Measure what every script and command pays first."""
    bare = measure_cpu([sys.executable, "-c", "pass"], repeats)
    imported = measure_cpu([sys.executable, "-c", "import mainspring"], repeats)
    helped = measure_cpu([sys.executable, "-m", "mainspring", "--help"], repeats)
    return [
        Figure("python alone", bare, "ms", None, "CPU of a fresh process"),
        Figure("import mainspring", imported, "ms", 60, "CPU, python included"),
        Figure("mainspring --help", helped, "ms", 150, "CPU, python included"),
    ]


def measure_install(repeats: int) -> list[Figure]:  # noqa: ARG001 - an installation has no spread
    """Measure a core install of this clone's wheel."""
    with tempfile.TemporaryDirectory() as folder:
        weights = weigh(install_core(build_wheel(Path(folder))))
    heaviest = ", ".join(f"{name} {size:.1f}" for name, size in sorted(weights.items(), key=lambda each: -each[1])[:3])
    return [
        Figure("packages", [len(weights)], "", 25, "core alone, mainspring included"),
        Figure("size", [sum(weights.values())], "MB", 100, f"without byte code; {heaviest}"),
    ]


TABLES = {
    "Faces": measure_faces,
    "Cold": measure_cold,
    "Steps": measure_steps,
    "Owner": measure_owner,
    "Record": measure_records,
    "Monitoring": measure_drift,
    "Services": measure_services,
    "Searches": measure_searches,
    "Core install": measure_install,
}
"""Title -> what measures it, given the number of repeats."""


def main() -> int:
    """Print the tables; 1 when a figure is over its budget."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="fresh processes for each figure")
    parser.add_argument("--only", nargs="*", choices=TABLES, default=TABLES, metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--check", action="store_true", help="compare with bench/budgets.json; 1 when one is broken")
    parser.add_argument(
        "--tighten", action="store_true", help="lower the budgets in bench/budgets.json to what was reached"
    )
    options = parser.parse_args()
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load {load:.1f} a core")
    print("medians; CPU is user + system, which a busy machine inflates; wall times mean nothing on one")
    tables = {title: TABLES[title](options.repeats) for title in options.only}
    for title, figures in tables.items():
        print_figures(title, figures)
    if options.tighten:
        write_budgets(tighten(read_budgets(), tables))
    if options.check:
        over = find_breaches(tables, read_budgets())
    else:
        over = [figure.name for figures in tables.values() for figure in figures if figure.verdict == "FAIL"]
    print(f"\n{'over budget: ' + ', '.join(over) if over else 'all within budget'}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
