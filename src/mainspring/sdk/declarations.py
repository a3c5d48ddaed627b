"""Apply: hand inert declarations, with the code they need, to the owner."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from mainspring.domain.errors import Invalid
from mainspring.domain.messages import Apply, Diff
from mainspring.domain.records import Declaration
from mainspring.pipelines.calls import list_modules
from mainspring.pipelines.snapshots import take_snapshot
from mainspring.sdk.blobs import store_plainly
from mainspring.sdk.client import Client, get_client


class Declared(Protocol):
    """What `apply` takes."""

    def declaration(self) -> Declaration:
        """Return the inert form that is recorded."""
        ...


def apply(*declared: Declared, dry_run: bool = False) -> Diff:
    """Put declarations under the owner's care.

    Parameters
    ----------
    *declared : Gate, Pipeline, Monitor, Contract or feature view
        What to apply. A pipeline brings a snapshot of its code, so that a trigger can start it
        when this process and its files are gone.
    dry_run : bool
        Only tell what would change.

    Returns
    -------
    Diff
        What changes, field by field: ``+`` new, ``~`` changed, ``=`` as it was.

    Raises
    ------
    Invalid
        RENEW-002 when a pipeline stands in no file; STEP-004 for what cannot be applied.
    Conflict
        TRIGGER-004 when somebody else applied one of them at the same time.

    Notes
    -----
    Guarantees: idempotent; all or nothing; what it does not name stays as it is.

    Examples
    --------
    >>> difference = ms.apply(ms.Gate("delays", target="late", better=["auc"]), dry_run=True)
    """
    client = get_client()
    return hand_over(client, complete(declared, client), dry_run=dry_run)


def hand_over(
    client: Client,
    declarations: list[Declaration],
    *,
    dry_run: bool = False,
    files: Sequence[str] = (),
    prune: bool = False,
) -> Diff:
    """Apply declarations against what is in force when their difference is made.

    Parameters
    ----------
    client : Client
        Asks the owner.
    declarations : list of Declaration
        Complete.
    dry_run : bool
        Only tell what would change.
    files : sequence of str
        Names of the files that declare all of them, each the same whenever it is applied.
    prune : bool
        Take out of force what these files declared before and declare no longer.
    """
    wanted = Apply(declarations=declarations, dry_run=True, files=list(files), prune=prune)
    diff: Diff = client.ask(wanted)
    if dry_run or not (diff.moved or any(mark in "+~-" for mark, *_ in diff.changes)):
        return diff
    applied: Diff = client.ask(replace(wanted, dry_run=False, base=diff.base))
    return applied


def complete(declared: Iterable[Declared], client: Client, source: str = "") -> list[Declaration]:
    """Return declarations with the code that they need, which is stored, and the file that declares them."""
    return [replace(_complete(each, client), source=source) for each in declared]


def _complete(declared: Declared, client: Client) -> Declaration:
    if not hasattr(declared, "declaration"):
        what = f"{declared!r:.100} is no pipeline, gate, monitor, view or contract"
        raise Invalid("STEP-004", what, fix="ms.apply(PIPELINE, ...)")
    declaration = declared.declaration()
    if declaration.kind != "pipeline":
        return declaration
    function: Callable[..., Any] = declared.function  # type: ignore[attr-defined]
    snapshot = take_snapshot(function, store_plainly(client.blobs), preload=list_modules(function))
    folder = str(Path.cwd())
    if client.remote:  # places of this machine are none of the server's
        snapshot, folder = replace(snapshot, python=""), ""
    return Declaration(
        "pipeline",
        declaration.name,
        {**declaration.body, "snapshot": msgspec.to_builtins(snapshot), "folder": folder},
    )
