"""Sessions: shells and notebooks in runs."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "SESSION-001",
        "not_found",
        "no Jupyter",
        "a notebook needs Jupyter for the interpreter of its worker, and it comes with nothing of Mainspring",
        "pip install jupyterlab, or name it in the file of --env",
    ),
    Entry(
        "SESSION-002",
        "failed",
        "Jupyter that does not start",
        "its server has ended, or not answered in time; its own words are the log of the run",
        "mainspring runs 'kind = session' shows it; read its text with mainspring logs",
    ),
    Entry(
        "SESSION-003",
        "invalid",
        "a session that nobody could reach",
        "shells and notebooks are reached on the machine of the home only, so they run in pools of that machine",
        "leave --pool out, or log in to the other machine and open it there",
    ),
    Entry(
        "SESSION-004",
        "invalid",
        "no session to go to",
        "one goes to a shell or notebook that is there, by the id of its run",
        'mainspring runs "kind = session and state = running"',
    ),
)
