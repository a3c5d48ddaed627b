"""What an attempt costs on Dask beyond Dask itself; run on demand, it needs the extra `dask`.

python -m bench.engines --count 200 --repeats 5

Both sides start the same empty program as often, on the same workers: once as tasks of Dask and nothing else, once as
attempts through the engine, with idempotence, text, ends and all. What the program itself costs is in both.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.figures import Figure, print_figures
from bench.processes import find_processes, read_cpu_s
from mainspring.compute.engine import Engine, Handle, Spec, find_engine
from mainspring.domain.errors import Unavailable
from mainspring.store.homes import make_folders, place_home

URL = "dask://?workers=2&threads=1"
BUDGET_MS = 5.0


def start_bare(program: str) -> int:
    """Be the bare task: start the program, and wait for it."""
    return subprocess.run([program, "-P", "-m", "nothing"], check=True, capture_output=True).returncode


def measure(home: Path, count: int, act: Callable[[], None]) -> tuple[float, float]:
    """Return CPU and wall milliseconds of each of so many, of all processes of the home and this one."""
    before, began = read_cpu_s(find_processes(home)) + time.process_time(), time.perf_counter()
    act()
    wall_s = time.perf_counter() - began
    return (read_cpu_s(find_processes(home)) + time.process_time() - before) / count * 1e3, wall_s / count * 1e3


def run_attempts(engine: Engine, program: str, count: int) -> None:
    """Execute attempts, and release them."""
    specs = [Spec(secrets.token_hex(16), 1, 1, "no token", python=program) for _ in range(count)]
    handles = [each for each in engine.submit(specs) if isinstance(each, Handle)]
    while not all(status.state == "ended" for status in engine.poll(handles)):
        time.sleep(0.02)
    engine.release(handles)


def main() -> None:
    """Measure, and print a table."""
    from distributed import Client

    from mainspring.compute.adapters import daskcluster

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MAINSPRING_HOME"] = str(Path(folder) / "home")
        home = place_home(Path(folder) / "home")
        make_folders(home)
        program = Path(folder) / "program"
        program.write_text(f"#!{sys.executable} -IS\n")
        program.chmod(0o755)
        engine = find_engine(URL, home)
        try:
            await_nodes(engine)
            (place,) = (home.root / "dask").iterdir()
            address, security = daskcluster.await_cluster({"folder": str(place)})
            with Client(address, security=security) as client:

                def run_bare() -> None:
                    client.gather(client.map(start_bare, [str(program)] * options.count, pure=False))

                run_bare()
                run_attempts(engine, str(program), options.count)
                bare, ours = [], []
                for _ in range(options.repeats):
                    bare.append(measure(home.root, options.count, run_bare))
                    ours.append(
                        measure(home.root, options.count, lambda: run_attempts(engine, str(program), options.count))
                    )
        finally:
            engine.close()
            for pid in find_processes(home.root):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
    print_figures("Dask", list_figures(bare, ours, options.count))


def list_figures(bare: Sequence[tuple[float, float]], ours: Sequence[tuple[float, float]], count: int) -> list[Figure]:
    """Return what is printed."""
    over = [[after[kind] - before[kind] for before, after in zip(bare, ours, strict=True)] for kind in (0, 1)]
    how = f"{count} at once on two workers"
    return [
        Figure("an attempt over a bare task, CPU", over[0], "ms", BUDGET_MS, f"{how}; owner's side, Dask, workers"),
        Figure("an attempt over a bare task, wall", over[1], "ms", None, f"{how}; half a second between looks in it"),
        Figure("a bare task, CPU", [each[0] for each in bare], "ms", None, "with the empty program"),
        Figure("a bare task, wall", [each[1] for each in bare], "ms", None, "with the empty program"),
    ]


def await_nodes(engine: Engine) -> None:
    """Wait until both workers are there."""
    while True:
        with contextlib.suppress(Unavailable):
            if len(engine.capacity()) == 2:
                return
        time.sleep(0.1)


if __name__ == "__main__":
    main()
