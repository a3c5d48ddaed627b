"""An engine of somebody else, found by its entry point as an installed package's is."""

import os

ABACUS = '''
"""Runs on this machine, and can be unplugged: while a file lies in the home nobody answers."""

from mainspring.compute.adapters.local import LocalEngine
from mainspring.compute.engine import Node, Rejection
from mainspring.domain.errors import Unavailable


class Abacus(LocalEngine):
    def __init__(self, url, home):
        super().__init__("local://" + url.partition("://")[2], home)
        self._broken, self._unplugged = home.root / "abacus-broken", home.root / "abacus-unplugged"

    def capacity(self):
        if self._unplugged.exists():
            return []
        return super().capacity()

    def adopt(self, since):
        if self._broken.exists():
            raise RuntimeError("a bead has fallen off")
        return super().adopt(since)


def need_beads(url, home):
    raise Unavailable("POOL-007", "the package beads is missing", fix="pip install beads")
'''


def install_abacus(folder, monkeypatch):
    """Have owners that start from now on, and this process, find the engines ``abacus`` and ``beads``."""
    info = folder / "abacus-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "abacus.py").write_text(ABACUS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mainspring.engines]\nabacus = abacus:Abacus\nbeads = abacus:need_beads\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")])))
