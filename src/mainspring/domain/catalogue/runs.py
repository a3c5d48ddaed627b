"""Steps, runs, searches and workers."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "RUN-001",
        "not_found",
        "no such run",
        "no run has this id, prefix or suffix",
        "mainspring runs",
    ),
    Entry(
        "RUN-002",
        "conflict",
        "a run in another state",
        "the life of a run has no such transition",
        "mainspring runs show RUN",
    ),
    Entry(
        "RUN-003",
        "invalid",
        "not a duration",
        "a duration is a number above zero with a unit",
        "write it like 30s, 10min or 14d",
    ),
    Entry(
        "RUN-004",
        "invalid",
        "not a size",
        "a size is a number above zero with a unit",
        "write it like 512 MB or 2 GiB",
    ),
    Entry(
        "RUN-005",
        "conflict",
        "a lease that was lost",
        "another attempt holds the run now, so this result is refused",
        "mainspring why RUN",
    ),
    Entry(
        "RUN-006",
        "failed",
        "a run failed",
        "the code of the run raised",
        "mainspring logs RUN",
    ),
    Entry(
        "RUN-007",
        "failed",
        "a run ran out of time",
        "its timeout passed and it was ended",
        "raise timeout= of the step",
    ),
    Entry(
        "RUN-008",
        "failed",
        "a worker was lost",
        "its process ended without a word, by a signal or for want of memory",
        "mainspring logs RUN",
    ),
    Entry(
        "RUN-009",
        "invalid",
        "unschedulable",
        "it asks for more than the largest node has",
        "ask for less, or add a pool",
    ),
    Entry(
        "RUN-010",
        "failed",
        "a run was cancelled",
        "somebody cancelled it, or its parent ended",
        "run it again",
    ),
    Entry(
        "RUN-011",
        "invalid",
        "a filter that cannot be read",
        "a filter is made of clauses like `state = failed`, joined by `and`, `or`, `not` and parentheses",
        'ms.runs("state = failed and params.rate > 0.1")',
    ),
    Entry(
        "RUN-012",
        "not_found",
        "a program that cannot be started",
        "no program of this name is there, or it may not be run",
        "give the program's path, or install it where the run takes place",
    ),
    Entry(
        "RUN-013",
        "invalid",
        "a page of another query",
        "a page is named by the page before, and holds for the same filter, order and project",
        "ask for the first page again: leave `page` out",
    ),
    Entry(
        "RUN-014",
        "invalid",
        "a filter or order of MLflow's that cannot be read",
        "it is made of clauses like `metrics.loss < 0.5`, joined by AND; texts stand in quotes",
        "metrics.loss < 0.5 AND params.model = 'trees'",
    ),
    Entry(
        "RUN-020",
        "not_found",
        "a run that cannot be called again",
        "kept is what a worker executed, or what failed in its caller's process and can be sent; never a job",
        "call the function again; mainspring runs show RUN tells its arguments",
    ),
    Entry(
        "RUN-021",
        "conflict",
        "a run that has not ended is not tried again",
        "two runs of one call would write the same names",
        "mainspring runs cancel RUN, or wait for its end",
    ),
    Entry(
        "RUN-022",
        "invalid",
        "runs nested too deep",
        "32 runs may lie one below the other; a step or pipeline that calls itself without an end comes there",
        "end the recursion, or call the plain function inside one step",
    ),
    Entry(
        "RUN-023",
        "invalid",
        "no such step below a run",
        "a pipeline is run again from one of the steps on that it ran",
        "mainspring runs show RUN names them; without --from all that succeeded answers",
    ),
)
