"""One round of the comparison: every flow of every tool, in a folder of its own, its answer checked."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.peers.guides import ANSWERS, WORDS, write_example
from bench.peers.tools import Tool
from bench.peers.trees import Spent, spend, wait_for_all

MANY, FEW, WIDE = 50, 3, 1000
_TIMEOUT_S = 1800


@dataclass
class Round:
    """A tool in an empty home.

    Attributes
    ----------
    tool : Tool
        Which.
    python : Path
        The interpreter of its environment.
    home : Path
        Its folder; HOME, too.
    spent : dict of str to float
        Figure -> CPU seconds; filled by `run`.
    """

    tool: Tool
    python: Path
    home: Path
    spent: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the home."""
        self.home.mkdir(parents=True)
        for name, text in self.tool.files.items():
            (self.home / name).write_text(text)
        self._starts = count(100, 100)
        for command in self.tool.prepare:
            self._do(command)

    def run(self) -> dict[str, float]:
        """Measure everything but the wide flow and return CPU seconds by figure."""
        self.spent["import"] = self._do(("{python}", "-c", f"import {self.tool.package}")).cpu_s
        self.spent["help"] = self._do(("{bin}/" + self.tool.package, "--help")).cpu_s
        self.spent["first"] = self.flow("chain", FEW).cpu_s
        self.stop()
        self.spent["three"] = self.flow("chain", FEW).cpu_s
        if self.tool.stop:
            self.spent["three, owner warm"] = self.flow("chain", FEW).cpu_s
        start = next(self._starts)
        self.spent["fifty"] = self.flow("chain", MANY, start).cpu_s
        if self.tool.caches:
            self.spent["fifty cached"] = self.flow("chain", MANY, start, cached=True).cpu_s
        if "isolated" in self.tool.command:
            self.flow("isolated", FEW)
            few, more = self.flow("isolated", FEW).cpu_s, self.tool.isolated
            self.spent["isolated step"] = (self.flow("isolated", more).cpu_s - few) / (more - FEW)
        if self.tool.forks_always:
            self.spent["isolated step"] = (self.spent["fifty"] - self.spent["three"]) / (MANY - FEW)
        else:
            self.spent["step"] = (self.spent["fifty"] - self.spent[self._base]) / (MANY - FEW)
        if self.tool.caches:
            self.spent["cached step"] = self._cached()
        self.stop()
        return self.spent

    @property
    def _base(self) -> str:
        return "three, owner warm" if self.tool.stop else "three"

    def _cached(self) -> float:
        """Return what a cached step costs: fifty of them less three of them."""
        start = next(self._starts)
        self.flow("chain", FEW, start)
        few = self.flow("chain", FEW, start, cached=True).cpu_s
        return (self.spent["fifty cached"] - few) / (MANY - FEW)

    def try_example(self) -> None:
        """Run the small flow that the tool's page of the guide shows.

        Raises
        ------
        AssertionError
            It does not print what it should.
        """
        path = write_example(self.tool.package, self.home)
        if path is not None:
            done = self._do(("{python}", path.name, *WORDS.get(self.tool.package, ())))
            if ANSWERS[self.tool.package] not in done.output:
                raise AssertionError(f"{self.tool.name}'s page: {done.output}{done.errors}")
        self.stop()

    def flow(self, kind: str, steps: int, start: int | None = None, *, cached: bool = False) -> Spent:
        """Run a flow and check what it answered and how often its steps ran.

        Raises
        ------
        AssertionError
            It answered, or executed, something else.
        """
        start = next(self._starts) if start is None else start
        ledger = self.home / "ledger.txt"
        ledger.write_text("")
        spent = self._do(self.tool.command[kind], count=str(steps), start=str(start))
        told = [line for line in spent.output.splitlines() if "answer " in line]
        answer = int(told[-1].rpartition("answer ")[2]) if told else None
        wanted = sum(range(start + 1, start + steps + 1)) if kind == "wide" else start + steps
        ran = ledger.read_text().count("+")
        if answer != wanted or ran != (0 if cached else steps):
            raise AssertionError(
                f"{self.tool.name} {kind}: answered {answer}, not {wanted}; {ran} steps ran\n{spent.errors}"
            )
        return spent

    def wide(self) -> dict[str, object]:
        """Run a thousand steps, a hundred at once, and return what it cost and whether the states are true."""
        try:
            spent = self.flow("wide", WIDE)
        except AssertionError as error:
            return {"failed": str(error)[-2000:]}
        finally:
            ledger = (self.home / "ledger.txt").read_text()
            most = now = 0
            for letter in ledger:
                now += 1 if letter == "+" else -1
                most = max(most, now)
        states = json.loads(self._do(self.tool.states or ()).output.splitlines()[-1])
        self.stop()
        locked = sum("database is locked" in line for line in (spent.output + spent.errors).splitlines())
        return {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "at once": most, "locked": locked, "states": states}

    def stop(self) -> None:
        """End what the tool left running."""
        if self.tool.stop:
            self._do(self.tool.stop)
        wait_for_all(60)

    def _do(self, words: Sequence[str], **values: str) -> Spent:
        filled = {"python": str(self.python), "bin": str(self.python.parent), "home": str(self.home), **values}
        command = [word.format(**filled) for word in words]
        variables = {name: text.format(**filled) for name, text in self.tool.variables.items()}
        spent = spend(
            command,
            self.home,
            {**_quiet(), **variables, "HOME": str(self.home), "LEDGER": str(self.home / "ledger.txt")},
            _TIMEOUT_S,
        )
        if spent.code and not values:
            raise RuntimeError(f"{' '.join(command)} failed:\n{spent.output}{spent.errors}")
        return spent


def _quiet() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return {**kept, "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
