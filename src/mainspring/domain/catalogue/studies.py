"""Searches."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "TUNE-001",
        "invalid",
        "not a search space",
        "each entry is between(low, high) with low below high, or a list of choices",
        "give ms.between(low, high) or a list",
    ),
    Entry(
        "TUNE-002",
        "invalid",
        "no such searcher",
        "searchers are found by the entry points mainspring.searchers",
        "use random, or pip install 'mainspring[search]'",
    ),
    Entry(
        "TUNE-003",
        "failed",
        "a trial without a value",
        "the function never logged a finite value of the metric",
        "call ms.log(METRIC=value) in the function that is tuned",
    ),
    Entry(
        "TUNE-004",
        "failed",
        "no trial succeeded",
        "every trial failed or was given up",
        "mainspring logs RUN",
    ),
    Entry(
        "TUNE-005",
        "invalid",
        "a budget that allows nothing",
        "a budget needs at least one limit, and every limit above zero",
        "give ms.Budget(trials=20)",
    ),
    Entry(
        "TUNE-006",
        "invalid",
        "not a function that can be tuned",
        "tune takes a step, and the space names arguments of it",
        "decorate the function with @ms.step and use its argument names",
    ),
    Entry(
        "TUNE-007",
        "invalid",
        "a search with a setting that is none",
        "mode is max or min, pruner is asha, median or none, and parallel is a number from 1",
        'mode="max", pruner="asha"',
    ),
)
