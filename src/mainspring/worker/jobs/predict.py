"""The job ``predict``: a model answers every row of a dataset version, a part at a time."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from mainspring.data.columns import make_storable
from mainspring.data.cuts import cut_rows
from mainspring.data.digests import chain_digest
from mainspring.data.profiles import hide_extremes, merge_profiles, profile_rows
from mainspring.data.tables import Part, read_schema
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Conflict, Invalid
from mainspring.domain.home import name_folder
from mainspring.domain.messages import GetVersion
from mainspring.domain.predictions import MODEL
from mainspring.models.columns import to_columns
from mainspring.models.runtime import Predictor, load_predictor
from mainspring.sdk.checkpoints import checkpoint
from mainspring.sdk.context import active_run
from mainspring.sdk.datasets import Dataset
from mainspring.sdk.log import log
from mainspring.sdk.tables import store_rows
from mainspring.sdk.writes import find_latest, seal_columns
from mainspring.store.tablefiles import open_files
from mainspring.worker.jobs.keys import check_key

if TYPE_CHECKING:
    from mainspring.data.scans import Scan
    from mainspring.data.sealing import Sealing
    from mainspring.domain.records import Version
    from mainspring.sdk.client import Client
    from mainspring.sdk.commits import App, Writer

_BATCH_CELLS = 2_000_000
_BATCH_ROWS = 50_000
_PART_BATCHES = 4
"""Batches between two marks: so many are answered again after a kill, at most."""
_PART_BYTES = 96 << 20
"""Wide rows make smaller parts; those of numbers alone stay below."""

_DTYPES: dict[str, pl.DataType] = {
    "FP32": pl.Float32(),
    "FP64": pl.Float64(),
    "INT64": pl.Int64(),
    "BOOL": pl.Boolean(),
    "BYTES": pl.String(),
}


class _Work(NamedTuple):
    """What one run answers, and with what.

    Attributes
    ----------
    asked : dict
        Arguments of the job.
    data, model : Version
        Whose rows, and who answers.
    predictor : Predictor
        The model.
    schema : polars.Schema
        Of the result.
    app : tuple of str and int
        Transaction of the commit: each run commits once.
    """

    asked: dict[str, Any]
    data: Version
    model: Version
    predictor: Predictor
    schema: pl.Schema
    app: App


def predict(arguments: dict[str, Any], client: Client) -> dict[str, Any]:
    """Answer the rows and write the answers as one version.

    Parameters
    ----------
    arguments : dict
        ``model`` and ``data`` (pinned references), ``to``, ``mode``, ``inputs`` (columns that the model
        takes), ``key``, ``kept`` (columns of the rows), ``answers`` (name, output and place of each
        column of the model) and ``asked`` (digest of the rest).
    client : Client
        Of the home.

    Returns
    -------
    dict
        ``version``, a pinned reference, and its ``rows``.

    Raises
    ------
    Invalid
        MODEL-007 to MODEL-009 for rows that the signature refuses; BATCH-005 for a key that is none;
        BATCH-006 for a dataset that cannot be appended to.
    Conflict
        DATA-013 when the dataset was changed while rows were appended to it.

    Notes
    -----
    Guarantees: rows are read in batches and answered in parts of bounded size, so memory does not grow with them.
    Each part is a blob before the checkpoint names it, so an attempt that follows a killed one goes on behind the
    last part. The commit is one, carries the run as its transaction, and is found again by the next attempt.
    """
    name, mode = arguments["to"], arguments["mode"]
    data = Dataset(arguments["data"])
    scan = data.scan()
    work = _begin(arguments, data.version, scan, client)
    with client.tables.hold(name):
        writer = client.tables.open_writer(name, anew=mode == "overwrite")
        if writer.is_done(work.app):
            return _tell(writer.find_done(work.app, "", ""))
        sealing = _seal(writer, work)
    check_key(scan, arguments["key"], data.rows, data.version.details.get("private") or ())
    state = _answer_rows(work, scan, sealing, client)
    parts = _put_parts(state["parts"], name, client)
    with client.tables.hold(name):
        return _tell(_commit(client.tables.open_writer(name, anew=mode == "overwrite"), work, sealing, state, parts))


def _begin(asked: dict[str, Any], data: Version, scan: Scan, client: Client) -> _Work:
    """Load the model, and say which columns come out."""
    active = active_run()
    assert active is not None
    model: Version = client.ask(GetVersion(kind="model", reference=asked["model"], run_id=active.run.id))
    files = {name: client.blobs.path(digest) for name, digest in model.manifest.items()}
    predictor = load_predictor(files, seal=client.seal)
    types = {each.name: _DTYPES[each.datatype] for each in predictor.signature.outputs} | {MODEL: pl.String()}
    kept = make_storable(pl.DataFrame(schema={name: scan.schema[name] for name in asked["kept"]})).schema
    schema = pl.Schema({**kept, **{name: types[output] for name, output, _ in asked["answers"]}})
    return _Work(asked, data, model, predictor, schema, (f"predict/{active.run.id}", 1))


def _seal(writer: Writer, work: _Work) -> Sealing:
    """Say which columns of the result are sealed: what was sealed, and what is predicted from it."""
    sealed = set(work.data.details.get("sealed") or ())
    answers = {name for name, output, _ in work.asked["answers"] if output != MODEL}
    sensitive = (sealed & set(work.asked["kept"])) | (answers if sealed & set(work.asked["inputs"]) else set())
    sealing = seal_columns(writer, pl.DataFrame(schema=work.schema), None, sensitive)
    if work.asked["mode"] == "append" and writer.head is not None:
        before, details = read_schema(writer.head.manifest["schema"]), writer.details
        if before != work.schema:
            shown = [", ".join(f"{name} {dtype}" for name, dtype in each.items()) for each in (before, work.schema)]
            raise Invalid("BATCH-006", f"{writer.name} has {shown[0]}; the predictions have {shown[1]}")
        if details.get("contract") or set(details.get("sealed") or ()) != set(sealing.ciphers):
            why = "keeps a contract" if details.get("contract") else "seals other columns"
            raise Invalid("BATCH-006", f"{writer.name} {why}")
    return sealing


def _answer_rows(work: _Work, scan: Scan, sealing: Sealing, client: Client) -> dict[str, Any]:
    """Store the answers part by part, from the part behind the last that is marked."""
    state: dict[str, Any] = {"rows": 0, "parts": [], "digest": "", "profile": {}, "latest": None}
    saved = checkpoint(keep=1)
    number = saved.restore(state)
    time_column = _time_column(work, sealing)
    rows = scan.select(*dict.fromkeys([*work.asked["kept"], *work.asked["inputs"]]))
    size = max(1, min(_BATCH_ROWS, _BATCH_CELLS // len(scan.schema)))
    batches = rows.stream(size, after=state["rows"])
    for answered in cut_rows(_answer_batches(work, batches, state["rows"]), _PART_BATCHES * size, _PART_BYTES):
        latest = find_latest(answered, time_column)["latest"]
        state["latest"] = max((each for each in (state["latest"], latest) if each is not None), default=None)
        profile = hide_extremes(profile_rows(answered), _hidden(work, sealing))
        state["profile"] = merge_profiles(state["profile"], profile)
        state["digest"] = chain_digest(state["digest"], "part", sealing.digest(answered))
        state["parts"].append(store_rows(client, sealing.seal(answered)))
        state["rows"] += answered.height
        saved.save(state, step=number)
        crash_point("predict.marked")
        log(rows=state["rows"], step=number)
        number += 1
    return state


def _answer_batches(work: _Work, batches: Iterable[pl.DataFrame], start: int) -> Iterator[pl.DataFrame]:
    for batch in batches:
        yield _answer(work, batch, start)
        start += batch.height


def _answer(work: _Work, rows: pl.DataFrame, start: int) -> pl.DataFrame:
    """Return kept columns and answers of some rows."""
    try:
        answers = work.predictor.predict(work.predictor.signature.check(to_columns(rows.select(work.asked["inputs"]))))
    except Invalid as fault:
        what = f"rows {start:,} to {start + rows.height - 1:,} of {work.data.reference}: {fault.what}"
        raise Invalid(fault.code, what, why=fault.why, fix=fault.fix) from None
    columns = list(make_storable(rows.select(work.asked["kept"])).iter_columns())
    for name, output, place in work.asked["answers"]:
        dtype = work.schema[name]
        if output == MODEL:
            columns.append(pl.repeat(work.model.reference, rows.height, dtype=dtype, eager=True).alias(name))
        else:
            values = answers[output].reshape(rows.height, -1)[:, place]
            columns.append(pl.Series(name, values.tolist() if values.dtype == object else values).cast(dtype))
    return pl.DataFrame(columns)


def _time_column(work: _Work, sealing: Sealing) -> str | None:
    name = work.data.details.get("event_time")
    return name if name in work.asked["kept"] and name not in sealing.ciphers else None


def _hidden(work: _Work, sealing: Sealing) -> list[str]:
    """Return the columns whose values nobody is told."""
    private = {*(work.data.details.get("private") or ()), *sealing.ciphers}
    return [name for name in work.schema if name in private]


def _commit(writer: Writer, work: _Work, sealing: Sealing, state: dict[str, Any], parts: list[Part]) -> Version:
    """Commit the parts as one version, or answer with the head where it holds them."""
    asked, app = work.asked, work.app
    append = asked["mode"] == "append" and writer.head is not None
    if append and _seal(writer, work).ciphers.keys() != sealing.ciphers.keys():
        raise Conflict("DATA-013", f"{writer.name} was changed meanwhile", dataset=writer.name)
    digest = chain_digest(writer.head.digest, "append", state["digest"]) if append and writer.head else state["digest"]
    if writer.head is not None and not append and writer.details.get("content") == digest:
        return writer.touch(writer.head)
    before = writer.details if append else {}
    time_column = _time_column(work, sealing)
    details = {
        "contract": None,
        "key": asked["key"],
        "event_time": time_column,
        "private": _hidden(work, sealing),
        "profile": merge_profiles(before.get("profile") or {}, state["profile"]),
        "quarantined": 0,
        "reasons": {},
        "warnings": [],
        "quarantine": before.get("quarantine"),
        "rows": state["rows"] + before.get("rows", 0),
        "columns": {name: str(dtype) for name, dtype in work.schema.items()},
        "sealed": sealing.describe(pl.DataFrame(schema=work.schema)),
        "mode": asked["mode"],
        "given": state["rows"],
        "given_digest": state["digest"],
        "base": writer.base_id,
        "content": digest,
        "app": list(app),
        "write": app[0],
        "prediction": {"model": asked["model"], "data": asked["data"], "asked": asked["asked"]},
    }
    note = {
        "digest": digest,
        "details": details,
        "inputs": [work.data.id, work.model.id],
        "run_id": app[0].partition("/")[2],
        "event_time": state["latest"],
        "append": append,
    }
    return writer.write_parts(parts, _lie(work.schema, sealing), note)


def _put_parts(digests: list[str], name: str, client: Client) -> list[Part]:
    """Copy the parts beside the table's files; those of a try that is killed are collected in time."""
    files, folder, mark = open_files(client.home), name_folder(client.project, name), secrets.token_hex(16)
    parts = []
    for number, digest in enumerate(digests):
        path, file = client.blobs.path(digest), f"part-{number:05}-{mark}.parquet"
        files.put(f"{folder}/{file}", path)
        parts.append(Part(file, pl.scan_parquet(path).select(pl.len()).collect().item(), path.stat().st_size))
    return parts


def _lie(schema: pl.Schema, sealing: Sealing) -> pl.Schema:
    """Return the types as they lie in the files: sealed cells are bytes."""
    return pl.Schema({name: pl.Binary() if name in sealing.ciphers else dtype for name, dtype in schema.items()})


def _tell(version: Version | None) -> dict[str, Any]:
    assert version is not None
    return {"version": version.reference, "rows": version.details["given"]}
