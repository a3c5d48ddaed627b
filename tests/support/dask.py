"""A Dask cluster of this machine: a scheduler and workers as one starts them by hand, without a dashboard."""

import json
import os
import subprocess
import sys
import time

from mainspring.compute.adapters.dask import DaskEngine

VARIABLE = "MAINSPRING_TEST_DASK"
CORES = 3
"""Of the larger worker; a run that asks so many fits on that one alone."""


def open_engine(url, home):
    """Return an engine on the cluster that the test has started."""
    del url
    return DaskEngine(os.environ[VARIABLE], home)


class DaskCluster:
    """A scheduler and two workers, one with two cores and one with three and two devices that are none."""

    def __init__(self, folder):
        folder.mkdir(parents=True)
        self.folder = folder
        self.processes = {}
        told = folder / "scheduler.json"
        words = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", told]
        self.begin("scheduler", *words)
        _await(told.exists, self)
        self.begin_worker("small", 2)
        self.begin_worker("large", CORES, "--resources", "GPU=2")

    @property
    def address(self):
        """Host and port of the scheduler."""
        return json.loads((self.folder / "scheduler.json").read_text())["address"].partition("://")[2]

    def begin_worker(self, name, threads, *more):
        """Start a worker, as `dask worker` does, without a nanny: one that is killed stays away."""
        words = ["--name", name, "--nthreads", threads, "--memory-limit", "8GiB", "--no-nanny", "--no-dashboard"]
        words += ["--host", "127.0.0.1", "--local-directory", self.folder / name, *more]
        self.begin("worker", "--scheduler-file", self.folder / "scheduler.json", *words, name=name)

    def begin(self, verb, *words, name=None):
        """Start a process of the cluster."""
        name = name or verb
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", "dask", verb, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def end(self, *names):
        """Kill processes of the cluster, all by default."""
        for name in names or list(self.processes):
            process = self.processes.pop(name)
            process.kill()
            process.wait()

    def url(self, **options):
        """Return the URL of a pool there."""
        return f"dask://{self.address}?" + "&".join(f"{name}={text}" for name, text in options.items())


def _await(check, cluster):
    until = time.monotonic() + 60.0
    while not check():
        logs = "\n".join(path.read_text()[-2000:] for path in cluster.folder.glob("*.log"))
        assert time.monotonic() < until, f"Dask does not start: {logs}"
        time.sleep(0.05)
