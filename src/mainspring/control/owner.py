"""The owner process of a home: ``python -m mainspring.control.owner --home PATH``.

Nothing but what is needed to leave the starter is imported here: what comes before the fork is paid twice.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys

from mainspring.domain.loading import collecting_nothing

USE_CASES = (
    "mainspring.control.blobs",
    "mainspring.control.runs",
    "mainspring.control.tracking",
    "mainspring.control.files",
    "mainspring.control.loggedmodels",
    "mainspring.control.imports",
    "mainspring.control.experiments",
    "mainspring.control.logged",
    "mainspring.control.searches",
    "mainspring.control.leases",
    "mainspring.control.placement",
    "mainspring.control.pools",
    "mainspring.control.tenants",
    "mainspring.control.queue",
    "mainspring.control.preemption",
    "mainspring.control.environments",
    "mainspring.control.rehearsals",
    "mainspring.control.retries",
    "mainspring.control.logs",
    "mainspring.control.drafts",
    "mainspring.control.sweeps",
    "mainspring.control.deletions",
    "mainspring.control.retention",
    "mainspring.control.quotas",
    "mainspring.control.litter",
    "mainspring.control.assets",
    "mainspring.control.writes",
    "mainspring.control.studies",
    "mainspring.control.apply",
    "mainspring.control.promotion",
    "mainspring.control.predictions",
    "mainspring.control.services",
    "mainspring.control.renewals",
    "mainspring.control.triggers",
    "mainspring.control.watches",
    "mainspring.control.hooks",
    "mainspring.control.gates",
    "mainspring.control.lineage",
    "mainspring.control.sources",
    "mainspring.control.pipelines",
    "mainspring.control.registry",
    "mainspring.control.outlooks",
    "mainspring.control.planning",
    "mainspring.control.explain",
    "mainspring.control.status",
    "mainspring.control.projects",
    "mainspring.control.principals",
    "mainspring.control.costs",
    "mainspring.control.tokens",
    "mainspring.control.passwords",
    "mainspring.control.keys",
    "mainspring.control.secrets",
    "mainspring.control.sinks",
    "mainspring.control.deliveries",
    "mainspring.control.audit",
)
"""Modules of control that register use cases and loops."""

PATIENCE_S = 10.0
"""Seconds that an owner started by a client waits for one that is about to end."""


def main(arguments: list[str] | None = None) -> int:
    """Own a home until idle.

    One line of JSON on the standard output tells the starter: ``{}`` when the socket answers, a
    problem when it never will. With ``--detach`` it goes on in a process that nobody waits for.
    """
    words = sys.argv[1:] if arguments is None else arguments
    detach = words[2:] == ["--detach"]
    if words[:1] != ["--home"] or len(words) != 2 + detach:
        sys.stderr.write("usage: python -m mainspring.control.owner --home PATH [--detach]\n")
        return 2
    os.umask(0o077)
    if detach and os.fork():
        os._exit(0)
    with collecting_nothing():
        _import_without("asyncio", "ssl")  # it serves a Unix socket
        _import_without("msgspec", "typing_extensions")  # nothing of which our messages use
        load()
        from mainspring.control.daemon import own
    gc.freeze()  # what was loaded stays
    return own(words[1], PATIENCE_S if detach else 0.0)


def load() -> None:
    """Import all that an owner answers with."""
    for name in USE_CASES:
        importlib.import_module(name)


def _import_without(name: str, missing: str) -> None:
    """Import what can do without a library that costs more than it brings here."""
    if missing not in sys.modules:
        sys.modules[missing] = None  # type: ignore[assignment] # so that to import it fails
        try:
            importlib.import_module(name)
        finally:
            del sys.modules[missing]


if __name__ == "__main__":
    # Imported by its name, so that use cases that import this module meet the same one.
    sys.exit(importlib.import_module("mainspring.control.owner").main())
