"""The tables of what runs log: points, artifacts, files, models, what they are searched by, what processes know."""

from __future__ import annotations

from mainspring.domain import records
from mainspring.store.columns import Whole as _Whole
from mainspring.store.columns import id_column as _id
from mainspring.store.columns import metadata
from mainspring.store.columns import packed_column as _packed
from mainspring.store.columns import text_column as _text
from mainspring.store.columns import time_column as _time
from mainspring.store.words import Boolean, Column, Float, Index, Table, UniqueConstraint

series_keys = Table("series_keys", metadata, Column("id", _Whole, primary_key=True), _text("key", unique=True))

"""Names of metrics, params and tags, each once."""

points = Table(
    "points",
    metadata,
    Column("run", _Whole, primary_key=True, autoincrement=False),
    Column("key", _Whole, primary_key=True, autoincrement=False),
    Column("step", _Whole, primary_key=True, autoincrement=False),
    Column("time", Float, primary_key=True, autoincrement=False),
    Column("value", Float, primary_key=True, autoincrement=False),
    Column("nan", Boolean, primary_key=True),  # then the value is 0: no key holds NaN or NULL
    Column("attempt", _Whole, nullable=False, server_default="1"),
    sqlite_with_rowid=False,
)

latest = Table(
    "latest",
    metadata,
    Column("run", _Whole, primary_key=True, autoincrement=False),
    Column("key", _Whole, primary_key=True, autoincrement=False),
    Column("step", _Whole, nullable=False),
    Column("time", Float, nullable=False),
    Column("value", Float, nullable=False),
    Column("nan", Boolean, nullable=False),
    Column("attempt", _Whole, nullable=False, server_default="1"),
    Index(None, "key", "value"),
    sqlite_with_rowid=False,
)
"""Of each series the point that is the greatest by step, time and value."""

param_values = Table(
    "param_values",
    metadata,
    Column("run", _Whole, primary_key=True, autoincrement=False),
    Column("key", _Whole, primary_key=True, autoincrement=False),
    _text("text"),
    Column("number", Float, nullable=True),  # of a number or truth value
    sqlite_with_rowid=False,
)
"""What `runs.params` holds, to search by."""

tag_values = Table(
    "tag_values",
    metadata,
    Column("run", _Whole, primary_key=True, autoincrement=False),
    Column("key", _Whole, primary_key=True, autoincrement=False),
    _text("text"),
    sqlite_with_rowid=False,
)
"""What `runs.tags` holds, to search by."""

artifacts = Table(
    "artifacts",
    metadata,
    Column("seq", _Whole, primary_key=True, autoincrement=True),  # grows: what replaces another comes after it
    Column("run", _Whole, nullable=False),
    _text("name"),
    Column("step", _Whole, nullable=False),
    _time("time", nullable=False),
    _packed("value", records.Value),
    UniqueConstraint("run", "name", "step"),
    sqlite_autoincrement=True,
)

provenances = Table(
    "provenances",
    metadata,
    Column("seq", _Whole, primary_key=True, autoincrement=True),
    _text("project"),
    _text("digest"),  # SHA-256 of the body
    _packed("body"),
    _time("created_at", nullable=False),
    UniqueConstraint("project", "digest"),
    sqlite_autoincrement=True,
)
"""What processes knew of themselves, and environments; equal ones are one row."""

files = Table(
    "files",
    metadata,
    Column("seq", _Whole, primary_key=True, autoincrement=True),  # grows: what replaces another comes after it
    _id("owner"),  # of a run or of a logged model
    _text("path"),
    _text("digest"),
    Column("size_bytes", _Whole, nullable=False),
    _time("time", nullable=False),
    UniqueConstraint("owner", "path"),
    sqlite_autoincrement=True,
)
"""Files that MLflow's clients logged."""

logged_models = Table(
    "logged_models",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _id(unique=True),  # the hexadecimal part of MLflow's ``m-...``
    _text("project"),
    Column("experiment", _Whole, nullable=False),
    _text("name"),
    _text("kind"),
    _id("run_id", nullable=True),
    _text("state"),
    _packed("params", dict[str, str]),
    _packed("tags", dict[str, str]),
    _time("created_at", nullable=False),
    _time("changed_at", nullable=False),
    _time("deleted_at"),
    Index(None, "project", "experiment"),
    Index(None, "run_id"),
)
"""Models as MLflow's clients log them, before they are registered."""

model_metrics = Table(
    "model_metrics",
    metadata,
    _id("model_id", primary_key=True),
    _id("run_id", primary_key=True),
    _text("key", primary_key=True),
    Column("step", _Whole, primary_key=True, autoincrement=False),
    Column("time", Float, primary_key=True, autoincrement=False),
    _text("dataset", primary_key=True),
    _text("dataset_digest", primary_key=True),
    Column("value", Float, nullable=True),  # SQLite keeps NaN as NULL
    Index(None, "run_id"),
    sqlite_with_rowid=False,
)
"""Metrics that a run logged of a logged model, on a dataset or on none (empty)."""
