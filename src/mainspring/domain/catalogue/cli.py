"""The command line and HTTP."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "CLI-001",
        "invalid",
        "a command line that cannot be read",
        "the verb, option or value is not one that this version knows",
        "mainspring --help",
    ),
    Entry(
        "CLI-002",
        "not_found",
        "nothing to run there",
        "a target is FILE.py, or FILE.py::NAME of a step or pipeline in it",
        "name a Python file, as in: mainspring run flights.py",
    ),
    Entry(
        "CLI-003",
        "conflict",
        "the folder is not empty",
        "init writes into a new folder, so that no file of yours is overwritten",
        "choose another name",
    ),
    Entry(
        "CLI-004",
        "not_found",
        "no such example",
        "the examples are packed with Mainspring",
        "mainspring init --list",
    ),
    Entry(
        "CLI-005",
        "unavailable",
        "the port is taken",
        "another program listens on it",
        "mainspring up --port 0 takes a free one",
    ),
    Entry(
        "CLI-006",
        "failed",
        "the code that was run raised",
        "an exception of the file's own code came through",
        "mend the line that the traceback names; `python -m pdb FILE` stops there",
    ),
    Entry(
        "CLI-007",
        "failed",
        "this machine or home is not fit",
        "a check of the doctor failed",
        "mend what the checks marked FAIL name",
    ),
    Entry(
        "CLI-008",
        "unavailable",
        "the folder cannot be written",
        "init makes the folder where it was named, and the system refuses",
        "mainspring init FOLDER, in a place that you may write",
    ),
    Entry(
        "CLI-009",
        "unavailable",
        "the answer cannot be written",
        "what standard output leads to takes no more: a full disk, a device that fails",
        "free some space, or lead the output elsewhere; what the command did stays done",
    ),
    Entry(
        "CLI-010",
        "invalid",
        "a value of another kind",
        "the annotation of a parameter says what may be typed for it",
        "type a value of that kind: text and numbers as they are, JSON for lists, dicts and dataclasses",
    ),
    Entry(
        "CLI-011",
        "unavailable",
        "nothing answers over HTTP",
        "programs of others, such as clients of MLflow, ask over HTTP, and mainspring up is not running",
        "mainspring up",
    ),
    Entry(
        "API-001",
        "denied",
        "a request without the home's token",
        "every read over HTTP shows the token of the home",
        "send the header Authorization: Bearer TOKEN; mainspring up names the file that holds it",
        401,
    ),
    Entry(
        "API-002",
        "not_found",
        "no such route",
        "the path is none that this version answers",
        "take a path from docs/reference/http.md",
    ),
    Entry(
        "API-003",
        "invalid",
        "a query that cannot be read",
        "a parameter of the query has no such value",
        "take its range from docs/reference/http.md",
    ),
    Entry(
        "API-004",
        "denied",
        "a page of another site",
        "a browser sent the request for a page that is not ours, or without saying for which",
        "use the page at the address that mainspring up prints, or a token",
    ),
    Entry(
        "API-005",
        "denied",
        "past the proxy",
        "with --behind-proxy only the proxy's own addresses are let in",
        "ask the proxy, or add its network: mainspring up --behind-proxy CIDR",
    ),
    Entry(
        "API-006",
        "invalid",
        "an open address without protection",
        "beyond loopback tokens would cross the network in the clear",
        "mainspring up --host HOST --tls, or --behind-proxy CIDR",
    ),
)
