"""Searches."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "TUNE-001",
        "invalid",
        "not a search space",
        "an entry is between(low, high) with low below high, a list of choices, or a mapping of choices to spaces",
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
        "mode is max or min, pruner asha, hyperband, median or none; parallel, repeats and seed are whole numbers",
        'mode="max", pruner="asha"',
    ),
    Entry(
        "TUNE-008",
        "invalid",
        "a budget that is spent or cannot be counted",
        "a budget is for all attempts at a search together, and a cost needs a price of an hour",
        "raise the budget, or set MAINSPRING_CPU_HOUR_COST and MAINSPRING_GPU_HOUR_COST",
    ),
    Entry(
        "TUNE-009",
        "invalid",
        "no single best of several metrics",
        "with several metrics one trial is better in one and another in another",
        "choose from study.front",
    ),
    Entry(
        "TUNE-010",
        "unavailable",
        "figures need a library",
        "figures of studies are drawn by a library that the core does not bring",
        "pip install 'mainspring[plots]'",
    ),
    Entry(
        "TUNE-011",
        "conflict",
        "not a search that this can be done to",
        "a search is stopped while it runs, and resumed when it has ended",
        "mainspring studies",
    ),
)
