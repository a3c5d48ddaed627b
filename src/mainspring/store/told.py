"""The tables of experiments, and of what runs say that they read and made."""

from __future__ import annotations

from mainspring.store.columns import Whole as _Whole
from mainspring.store.columns import metadata
from mainspring.store.columns import packed_column as _packed
from mainspring.store.columns import text_column as _text
from mainspring.store.columns import time_column as _time
from mainspring.store.words import Column, Index, Table, UniqueConstraint

experiments = Table(
    "experiments",
    metadata,
    _text("project", primary_key=True),
    Column("number", _Whole, primary_key=True, autoincrement=False),
    _text("name"),
    _packed("tags", dict[str, str]),
    _time("created_at", nullable=False),
    _time("changed_at", nullable=False),
    _time("deleted_at"),
    UniqueConstraint("project", "name"),
    sqlite_with_rowid=False,
)
"""Runs name their experiment; a new name goes into their rows too."""

told_datasets = Table(
    "told_datasets",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _text("project"),
    Column("experiment", _Whole, nullable=False),
    _text("name"),
    _text("digest"),
    _text("source_type"),
    _text("source"),
    _text("schema", nullable=True),
    _text("profile", nullable=True),
    UniqueConstraint("project", "experiment", "name", "digest"),
)
"""Datasets of elsewhere, as programs describe them: no versions of ours."""

dataset_inputs = Table(
    "dataset_inputs",
    metadata,
    Column("run", _Whole, primary_key=True, autoincrement=False),
    Column("dataset", _Whole, primary_key=True, autoincrement=False),
    _packed("tags", dict[str, str]),
    Index(None, "dataset"),
    sqlite_with_rowid=False,
)

model_uses = Table(
    "model_uses",
    metadata,
    Column("run", _Whole, primary_key=True, autoincrement=False),
    _text("kind", primary_key=True),  # read or made
    _text("model_id", primary_key=True),
    Column("step", _Whole, primary_key=True, autoincrement=False),
    Index(None, "model_id"),
    sqlite_with_rowid=False,
)
