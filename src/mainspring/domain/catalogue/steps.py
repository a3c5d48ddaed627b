"""Steps, pipelines and their values."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "STEP-001",
        "invalid",
        "a value that cannot be stored",
        "what a step returns is stored, so that the next call and other processes can have it",
        "return data, such as a table, an array, a model, a dataclass, JSON or a Path",
    ),
    Entry(
        "STEP-002",
        "invalid",
        "an input without content",
        "the cache key is made of the content of the inputs, and this one has none to read",
        "pass data or a Path, or switch the cache off with @step(cache=False)",
    ),
    Entry(
        "STEP-003",
        "invalid",
        "two steps of one name",
        "the record tells the steps of a pipeline apart by their names",
        "rename one of the functions",
    ),
    Entry(
        "STEP-004",
        "invalid",
        "not a function for a step",
        "a step is a plain function with a name that returns one value",
        "write it as `def name(...): return value`",
    ),
    Entry(
        "STEP-005",
        "invalid",
        "a call that cannot travel",
        "a worker is another process: the function, what it captures and its arguments are sent there",
        "open files, connections and locks inside the step",
    ),
    Entry(
        "STEP-006",
        "invalid",
        "no active run",
        "only the code of a run can log",
        "call it inside a @step or a @pipeline; a thread needs contextvars.copy_context()",
    ),
    Entry(
        "STEP-007",
        "conflict",
        "code changed after it was submitted",
        "the run was queued with one version of this file and the worker found another",
        "submit it again",
    ),
    Entry(
        "STEP-008",
        "invalid",
        "a wrong option of a step",
        "an option has a value that means nothing",
        "help(mainspring.step) lists the options and their units",
    ),
    Entry(
        "STEP-009",
        "invalid",
        "not a metric",
        "log takes numbers, figures, text, dictionaries and paths by name",
        "log(loss=0.1), log({'loss': 0.1}, step=3)",
    ),
    Entry(
        "STEP-010",
        "not_found",
        "a stored value whose class is gone",
        "the class was renamed, moved or lives in a script that is not running",
        "define the class in a module that both sides import, or run the step again",
    ),
    Entry(
        "STEP-011",
        "invalid",
        "a stored value of another version",
        "a newer version of Mainspring wrote it",
        "pip install --upgrade mainspring",
    ),
    Entry(
        "STEP-012",
        "invalid",
        "a path given as text",
        "a text counts by its letters, so a step is not run again when the file or folder that the text names changes",
        "give pathlib.Path(...) so that its content counts",
    ),
)
