"""Writing rows: contract, quarantine, one commit, one version."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.records import Version
from mainspring.domain.references import Reference, parse_reference
from mainspring.sdk.commits import App, Writer, find_head
from mainspring.sdk.context import ActiveRun, active_run
from mainspring.sdk.contracts import read_contract
from mainspring.sdk.derived import find_derived
from mainspring.sdk.exposures import seen_columns
from mainspring.sdk.lineage import current_client, list_reads
from mainspring.sdk.sources import Source

if TYPE_CHECKING:
    import polars as pl

    from mainspring.data.contracts import Checked
    from mainspring.data.declarations import Declaration
    from mainspring.data.scans import Scan
    from mainspring.data.sealing import Sealing
    from mainspring.sdk.client import Client

MODES = ("overwrite", "append", "upsert")

_TRIES = 20
"""So often is a write begun that another home's writer overtakes."""

_PAUSE_S = 0.05
_appends: WeakKeyDictionary[ActiveRun, Counter[str]] = WeakKeyDictionary()


class _Given(NamedTuple):
    """What was given: its number of rows, the version under it, and how it is to be written.

    Each write has a mark of its own; `again`: an earlier try of it may have committed.
    """

    rows: int
    base: str
    digest: str
    mode: str
    app: App | None
    mark: str
    again: bool


class _Wanted(NamedTuple):
    """What a caller wants written, read once; `parents` are versions that no active run has read."""

    frame: pl.DataFrame
    parents: list[str]
    declared: Declaration | None
    mode: str
    key: Any


class _Change(NamedTuple):
    """What a write comes to: rows to add, or all rows of the new version."""

    rows: pl.DataFrame
    append: bool
    digest: str


def write_rows(
    rows: Any, name: str, *, contract: Any = None, mode: str = "overwrite", key: Any = None, app: App | None = None
) -> Version:
    """Write rows to a dataset and return the version; `mainspring.sdk.datasets.write` tells all.

    Parameters
    ----------
    app : tuple of str and int, optional
        Transaction of the caller: an append with the number that the application has reached in
        this dataset, or a lower one, writes nothing and answers with the version that it made.
    """
    from mainspring.data.tables import LostRace

    if not isinstance(name, str):  # as when rows and name change places
        raise Invalid("DATA-001", f"{type(name).__name__} is no name of a dataset", fix='ms.write(rows, "NAME")')
    if parse_reference(name) != Reference(name):
        raise Invalid("DATA-001", f"{name!r} is a reference to a version; a name is wanted", reference=name)
    if mode not in MODES:
        raise Invalid("DATA-010", f"mode {mode!r} is none of {', '.join(MODES)}", mode=mode)
    client = current_client()
    declared = read_contract(contract) or (_keep_contract(client, name) if mode != "overwrite" else None)
    frame, parents = _take_rows(rows, declared)
    app = app or _count_append(name, mode)
    wanted = _Wanted(frame, parents, declared, mode, key)
    mark = secrets.token_hex(8)
    for number in range(_TRIES):
        try:
            with client.tables.hold(name):
                return _try_write(client, name, wanted, app, mark, again=number > 0)
        except LostRace:
            if number + 1 == _TRIES:
                raise
        time.sleep(_PAUSE_S * min(number + 1, 10) * (0.5 + random.random()))
    raise AssertionError


def _try_write(client: Client, name: str, wanted: _Wanted, app: App | None, mark: str, *, again: bool) -> Version:
    """Write rows on top of what the table holds now, unless an earlier try has done it."""
    from mainspring.data.contracts import check_rows
    from mainspring.data.profiles import hide_extremes

    frame, declared, mode = wanted.frame, wanted.declared, wanted.mode
    writer = client.tables.open_writer(name, anew=mode == "overwrite")
    sealing = seal_columns(
        writer, frame, declared, find_derived(frame, [each.name for each in declared.columns] if declared else ())
    )
    digest = sealing.digest(frame) if mode == "append" else ""
    given = _Given(frame.height, writer.base_id, digest, mode, app, mark, again)
    done = _find_done(writer, given)
    if done is not None:
        return writer.touch(done)
    details = _describe(writer, frame, declared, mode, wanted.key)
    if details["event_time"] in sealing.ciphers:
        details["event_time"] = None  # the record would tell its latest
    details["private"] = [each for each in frame.columns if each in {*details["private"], *sealing.ciphers}]
    checked = check_rows(frame, declared, taken=_read_taken(writer, details) if mode == "append" else None)
    change = _plan_change(writer, checked, details, given, sealing)
    details |= {
        "profile": hide_extremes(details["profile"], details["private"]),
        "quarantined": checked.quarantined.height,
        "reasons": checked.reasons,
        "warnings": checked.warnings,
        "quarantine": _write_quarantine(client, name, checked, given, list(sealing.ciphers)),
        "parents": wanted.parents,
    }
    return _commit_change(writer, change, details, given, sealing)


def seal_columns(writer: Writer, frame: pl.DataFrame, declared: Declaration | None, names: Any = ()) -> Sealing:
    """Say which columns are sealed: by contract or what they are made of, and wherever one of that name was before.

    Parameters
    ----------
    writer : Writer
        Of the dataset that takes the rows.
    frame : polars.DataFrame
        With the columns of the rows.
    declared : Declaration or None
        Of a contract.
    names : iterable of str
        Further columns that are sensitive.
    """
    from mainspring.data.sealing import Sealing

    known = [writer.details, *(version.details or {} for version in list_reads())]
    sensitive = {*names, *(declared.sensitive if declared else ()), *seen_columns()}
    sensitive |= {name for each in known for name in each.get("sealed") or ()}
    make = writer.client.data_keys.make
    return Sealing({name: make(f"column:{writer.name}:{name}") for name in frame.columns if name in sensitive})


def _find_done(writer: Writer, given: _Given) -> Version | None:
    """Return the version that this write has made already, in an earlier try or process."""
    if given.again:
        made = writer.find_write(given.mark)
        if made is not None or given.app is None or not writer.is_done(given.app):
            return made
    return writer.find_done(given.app, given.base, given.digest) if given.mode == "append" else None


def _take_rows(rows: Any, declared: Declaration | None) -> tuple[pl.DataFrame, list[str]]:
    """Read the rows; the second part names versions that no active run has read."""
    from mainspring.data.frames import make_frame
    from mainspring.sdk.datasets import Dataset
    from mainspring.sdk.features import Joined

    if isinstance(rows, Joined):
        return rows.polars(), [rows.dataset.version.id]
    if isinstance(rows, Source):
        return rows.read(text={column.name for column in declared.columns} if declared else ()), []
    if isinstance(rows, Dataset):
        return rows.polars(), [rows.version.id]
    return make_frame(rows), []


def _keep_contract(client: Client, name: str) -> Declaration | None:
    head = find_head(client, name)
    return read_contract(head.details.get("contract")) if head is not None else None


def _count_append(name: str, mode: str) -> App | None:
    active = active_run()
    if active is None or mode != "append":
        return None
    counts = _appends.setdefault(active, Counter())
    counts[name] += 1
    return f"run/{active.run.id}", counts[name]


def _describe(writer: Writer, frame: pl.DataFrame, declared: Declaration | None, mode: str, key: Any) -> dict[str, Any]:
    """Say what identifies a row, when it happened and what is private: by contract, dataset or parents."""
    from mainspring.data.columns import require_columns

    known = [writer.details] if mode != "overwrite" and writer.head is not None else []
    known += [version.details or {} for version in list_reads()]
    private = {*(declared.private if declared else ()), *(name for each in known for name in each.get("private") or ())}
    event_times = {each["event_time"] for each in known if each.get("event_time") in frame.columns}
    keys = {tuple(each["key"]) for each in known if each.get("key") and set(each["key"]) <= set(frame.columns)}
    names = [key] if isinstance(key, str) else list(key or ())
    require_columns(names, frame.columns, what="key")
    if not names:
        names = list(declared.key) if declared and declared.key else list(keys.pop()) if len(keys) == 1 else []
    if mode == "upsert" and not names:
        raise Invalid("DATA-010", f"an upsert into {writer.name} without key=")
    declared_time = declared.event_time if declared else None
    return {
        "contract": msgspec.to_builtins(declared) if declared else None,
        "key": names,
        "event_time": declared_time or (event_times.pop() if len(event_times) == 1 else None),
        "private": [name for name in frame.columns if name in private],
    }


def _read_taken(writer: Writer, details: dict[str, Any]) -> pl.DataFrame | None:
    """Read the keys that an append may not repeat."""
    if writer.head is None or not details["contract"] or not details["key"]:
        return None
    return _scan(writer).select(*details["key"]).polars()


def _scan(writer: Writer) -> Scan:
    assert writer.head is not None
    return writer.client.tables.open_scan(writer.head, writer.client.data_keys.open)


def _plan_change(writer: Writer, checked: Checked, details: dict[str, Any], given: _Given, sealing: Sealing) -> _Change:
    """Work out what the accepted rows change, and refuse them before anything is written."""
    from mainspring.data.digests import chain_digest
    from mainspring.data.merging import check_key, fit_columns, merge_rows
    from mainspring.data.profiles import merge_profiles, profile_rows

    rows = checked.rows
    details |= {"profile": checked.profile, **find_latest(rows, details["event_time"])}
    if given.mode == "upsert":
        check_key(rows, details["key"])
    if given.mode == "overwrite" or writer.head is None:
        return _Change(rows, append=False, digest=sealing.digest(rows))
    scan = _scan(writer)
    rows = fit_columns(rows, scan.schema)
    if given.mode == "upsert":
        rows, merged = merge_rows(scan.lazy(), rows, details["key"])
        if merged is not None:
            details["profile"] = profile_rows(merged)
            return _Change(merged, append=False, digest=sealing.digest(merged))
    # Of an upsert only the rows that it adds count: one that is there already was counted before.
    added = profile_rows(rows) if given.mode == "upsert" else checked.profile
    details["profile"] = merge_profiles(writer.details["profile"], added)
    if set(scan.sealed) != set(sealing.ciphers):  # a column that is sensitive from now on is sealed in every row
        rows = scan.polars().vstack(rows)
        return _Change(rows, append=False, digest=sealing.digest(rows))
    return _Change(rows, append=True, digest=chain_digest(writer.head.digest, "append", sealing.digest(rows)))


def find_latest(rows: pl.DataFrame, event_time: str | None) -> dict[str, Any]:
    """Return the latest event time of the rows; a column that is no time any more tells none."""
    from mainspring.data.scans import to_number

    if event_time is None or not rows.schema[event_time].is_temporal():
        return {"event_time": None, "latest": None}
    latest = rows[event_time].max()
    return {"event_time": event_time, "latest": to_number(latest) if latest is not None else None}


def _write_quarantine(client: Client, name: str, checked: Checked, given: _Given, sensitive: list[str]) -> str | None:
    import polars as pl

    from mainspring.data.digests import chain_digest
    from mainspring.data.quarantine import select_new

    name = f"{name}.quarantine"
    rows = checked.quarantined
    if rows.is_empty():
        head = find_head(client, name) if given.mode != "overwrite" else None
        return head.reference if head is not None else None
    with client.tables.hold(name):
        writer = client.tables.open_writer(name, anew=given.mode == "overwrite")
        done = _find_done(writer, given)
        if done is not None and not given.again:
            return writer.touch(done).reference
        if (given.mode == "upsert" or done is not None) and writer.head is not None:
            rows = select_new(rows, _scan(writer).polars())
        sealing = seal_columns(writer, rows, None, sensitive)
        kept = _scan(writer) if given.mode != "overwrite" and writer.head is not None else None
        if kept is not None and set(kept.sealed) != set(sealing.ciphers):
            rows, kept = pl.concat([kept.polars(), rows], how="diagonal"), None
        digest = sealing.digest(rows)
        change = _Change(rows, append=False, digest=digest)
        if kept is not None and writer.head is not None:
            change = _Change(rows, append=True, digest=chain_digest(writer.head.digest, "append", digest))
        details: dict[str, Any] = {"contract": None, "key": [], "event_time": None, "private": rows.columns}
        details |= {"quarantined": 0, "reasons": checked.reasons, "profile": {}}
        return _commit_change(writer, change, details, given, sealing).reference


def _commit_change(
    writer: Writer, change: _Change, details: dict[str, Any], given: _Given, sealing: Sealing
) -> Version:
    """Commit a change, unless neither the rows nor the quarantine beside them change."""
    rows = change.rows
    if writer.head is not None and writer.details.get("quarantine") == details.get("quarantine"):
        unchanged = rows.is_empty() if change.append else writer.details["content"] == change.digest
        if unchanged:
            return writer.touch(writer.head)
    active = active_run()
    inputs = {version.id: None for version in list_reads()} | dict.fromkeys(details.pop("parents", ()))
    latest = details.pop("latest", None)
    details |= {
        "rows": rows.height + (writer.details["rows"] if change.append else 0),
        "columns": {column: str(dtype) for column, dtype in rows.schema.items()},
        "sealed": sealing.describe(rows),
        "mode": given.mode,
        "given": given.rows,
        "given_digest": given.digest,
        "base": given.base,
        "content": change.digest,
        "app": list(given.app) if given.app else None,
        "write": given.mark,
    }
    note = {
        "digest": change.digest,
        "details": details,
        "inputs": list(inputs),
        "run_id": active.run.id if active is not None else None,
        "event_time": latest,
    }
    return writer.commit(rows, note, sealing, append=change.append)
