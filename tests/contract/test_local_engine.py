"""The engine local:// passes the contract of engines."""

import os

from mainspring.domain.records import Resources
from mainspring.testing.engines import EngineContract


class TestLocalEngine(EngineContract):
    def fill(self, client):
        return Resources(cpus=float(len(os.sched_getaffinity(0))))
