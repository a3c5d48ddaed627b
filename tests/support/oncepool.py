"""An engine for tests: a process of `mainspring.worker.once` for each attempt, where ``local://`` would be.

A module that every interpreter reads at its start puts it in that place.
"""

import os
import subprocess
import sys
import time

from mainspring.compute import forks
from mainspring.compute.adapters.local import LocalEngine
from mainspring.compute.attempts import write_attempt
from mainspring.compute.engine import Handle, Rejection, Status
from mainspring.compute.scheduling.fitting import find_misfit


class OnceEngine(LocalEngine):
    """Knows only what this owner has started."""

    def __init__(self, url, home):
        super().__init__(url, home)
        self._begun = {}

    def submit(self, specs):
        return [self._begin(spec) for spec in specs]

    def poll(self, handles):
        return [self._look(handle) for handle in handles]

    def cancel(self, handles, grace_s, signal):
        for handle in handles:
            if handle in self._begun:
                self._begun[handle].send_signal(signal)

    def adopt(self, since):
        del since
        return list(self._begun)

    def release(self, handles):
        for handle in handles:
            self._begun.pop(handle, None)

    def _begin(self, spec):
        misfit = find_misfit(self.capacity(), "step", spec.resources)
        if misfit:
            return Rejection(spec.run_id, spec.attempt, misfit)
        handle = Handle(spec.run_id, spec.attempt)
        if handle not in self._begun:
            path = forks.log_path(self._home, spec.run_id, spec.attempt)
            path.parent.mkdir(parents=True, exist_ok=True)
            environment = {**os.environ, "MAINSPRING_ATTEMPT": write_attempt(spec), **self._find_server()}
            with path.open("ab") as log:
                words = [sys.executable, "-P", "-m", "mainspring.worker.once"]
                self._begun[handle] = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
                )
        return handle

    def _find_server(self):
        """Return by which variables an attempt finds the home that has named a server."""
        told = self._home.root / "server.txt"
        if not told.exists():
            return {}
        url, certificate, elsewhere = told.read_text().splitlines()
        return {"MAINSPRING_URL": url, "MAINSPRING_CERTIFICATE": certificate, "MAINSPRING_HOME": elsewhere}

    def _look(self, handle):
        process = self._begun.get(handle)
        if process is None:
            return Status(handle.run_id, handle.attempt, "ended", cause="lost", detail="nobody knows it")
        code = process.poll()
        if code is None:
            return Status(handle.run_id, handle.attempt, "running", process.pid)
        (self._home.root / f"{handle.run_id}-{handle.attempt}.exit").write_text(f"{code} {time.time()}")
        detail = f"its process ended with exit code {code}"
        return Status(handle.run_id, handle.attempt, "ended", process.pid, exit_code=code, detail=detail)


# Each process of the test reads it when it starts; an interpreter that has no mainspring goes without.
_PLACING = """
import contextlib

with contextlib.suppress(ImportError):
    from mainspring.compute import engine

    engine._BUILT_IN["local"] = {engine!r}
"""


def place_engine(folder, monkeypatch, root, engine="tests.support.oncepool:OnceEngine"):
    """Have owners that start from now on find it in the place of ``local://``."""
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(_PLACING.format(engine=engine))
    others = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(root), *others]))
