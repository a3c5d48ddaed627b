"""The tables of the record; one declaration for SQLite and PostgreSQL.

Values that nobody searches inside travel as JSON text (`Packed`); in it a number that is not
finite becomes null. Ids of rows that are many (runs, keys of series) are integers inside the
file, so that points cluster tightly; the wire knows only the 32-character ids. Texts are ordered
by their code points in both.
"""

from __future__ import annotations

from typing import Any

from mainspring.domain import records
from mainspring.domain.messages import Study
from mainspring.store.columns import Packed
from mainspring.store.columns import Whole as _Whole
from mainspring.store.columns import id_column as _id
from mainspring.store.columns import metadata as metadata  # noqa: PLC0414 - told on
from mainspring.store.columns import only_where as _where
from mainspring.store.columns import packed_column as _packed
from mainspring.store.columns import text_column as _text
from mainspring.store.columns import time_column as _time
from mainspring.store.credentials import passwords as passwords  # noqa: PLC0414 - told on
from mainspring.store.logged import artifacts as artifacts  # noqa: PLC0414 - told on
from mainspring.store.logged import files as files  # noqa: PLC0414 - told on
from mainspring.store.logged import latest as latest  # noqa: PLC0414 - told on
from mainspring.store.logged import logged_models as logged_models  # noqa: PLC0414 - told on
from mainspring.store.logged import model_metrics as model_metrics  # noqa: PLC0414 - told on
from mainspring.store.logged import param_values as param_values  # noqa: PLC0414 - told on
from mainspring.store.logged import points as points  # noqa: PLC0414 - told on
from mainspring.store.logged import provenances as provenances  # noqa: PLC0414 - told on
from mainspring.store.logged import series_keys as series_keys  # noqa: PLC0414 - told on
from mainspring.store.logged import tag_values as tag_values  # noqa: PLC0414 - told on
from mainspring.store.machines import drains as drains  # noqa: PLC0414 - told on
from mainspring.store.machines import pools as pools  # noqa: PLC0414 - told on
from mainspring.store.machines import quotas as quotas  # noqa: PLC0414 - told on
from mainspring.store.receivers import set_asides as set_asides  # noqa: PLC0414 - told on
from mainspring.store.receivers import sinks as sinks  # noqa: PLC0414 - told on
from mainspring.store.registered import registered_models as registered_models  # noqa: PLC0414 - told on
from mainspring.store.standings import pauses as pauses  # noqa: PLC0414 - told on
from mainspring.store.standings import triggers as triggers  # noqa: PLC0414 - told on
from mainspring.store.told import dataset_inputs as dataset_inputs  # noqa: PLC0414 - told on
from mainspring.store.told import experiments as experiments  # noqa: PLC0414 - told on
from mainspring.store.told import model_uses as model_uses  # noqa: PLC0414 - told on
from mainspring.store.told import told_datasets as told_datasets  # noqa: PLC0414 - told on
from mainspring.store.words import Boolean, Column, Float, Index, LargeBinary, String, Table, UniqueConstraint

HEAD = "0003"
"""The schema of this release; revisions are four digits and grow."""

LOCAL = "local"
"""The node of a record that only one home uses."""


runs = Table(
    "runs",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _id(unique=True),
    _text("project"),
    _text("kind"),
    _text("name"),
    _text("state"),
    _text("reason"),
    _id("parent_id", nullable=True),
    Column("attempt", _Whole, nullable=False),
    Column("fence", _Whole, nullable=False),
    _text("key", nullable=True),
    _id("cached_from", nullable=True),
    _packed("fingerprint", records.Fingerprint),
    _packed("params", dict[str, Any]),
    _packed("tags", dict[str, str]),
    _packed("resources", records.Resources),
    _packed("outputs", records.Value),
    _packed("details"),
    _packed("problem", records.Problem),
    _text("principal"),
    _text("node", server_default=LOCAL),  # the home whose owner tends it; empty: none does
    _text("host"),
    Column("pid", _Whole, nullable=False),
    Column("retries", _Whole, nullable=False),
    Column("timeout_s", Float, nullable=True),
    _time("created_at", nullable=False),
    _time("started_at"),
    _time("ended_at"),
    Column("cpu_s", Float, nullable=True),
    Column("memory_bytes", _Whole, nullable=True),
    _text("experiment", server_default=""),
    _text("provenance", nullable=True),
    Column("backoff_s", Float, nullable=False, server_default="0"),
    Column("attempts", Packed(list[records.Attempt]), nullable=False, server_default="[]"),
    _text("place", server_default=""),  # pool and node that a worker was given it on
    # What the owner keeps for itself; no part of the record of a run.
    Column("lease_until", Float, nullable=True),  # monotonic seconds of the owner's machine
    _text("process_start", nullable=True),  # tells a process from a later one of the same id
    _time("due_at"),  # a queued run is not placed before
    Column("losses", _Whole, nullable=False, server_default="0"),
    Column("failures", _Whole, nullable=False, server_default="0"),
    Column("journal_offset", _Whole, nullable=False, server_default="0"),
    _text("order", server_default="keep"),  # keep, cancel or prune
    _time("saved_at"),  # its last checkpoint
    _text("gives_way", server_default=""),  # to which run, or by whose word; empty: it keeps its place
    Index(None, "parent_id"),
    Index(None, "node", "state"),
    Index(None, "state"),
    Index(None, "kind", "name"),
    Index(None, "key"),
    Index("runs_experiment", "project", "experiment", "started_at", "id", **_where("experiment <> ''")),
    Index("runs_cached_from", "cached_from", **_where("cached_from IS NOT NULL")),
    # Only live runs have these; partial, so that the many that ended cost nothing.
    Index("runs_lease_until", "lease_until", **_where("lease_until IS NOT NULL")),
    Index("runs_process_start", "process_start", "pid", **_where("process_start IS NOT NULL")),
)

calls = Table(
    "calls",
    metadata,
    _id("run_id", primary_key=True),
    _packed("call", records.Call),
    _packed("study", Study),
    _text("dedupe", nullable=True, unique=True),
    _text("worker_id", nullable=True),
    _text("token", nullable=True),  # SHA-256 of what the worker of the attempt shows
    _time("placed_at"),
    _text("reason", nullable=True),  # why no kept result answered it
    Index(None, "worker_id"),
)

cache = Table(
    "cache",
    metadata,
    _text("project", primary_key=True),
    _text("key", primary_key=True),
    _text("name"),
    _id("run_id"),
    _time("created_at", nullable=False),
    sqlite_with_rowid=False,
)

versions = Table(
    "versions",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _id(unique=True),
    _text("kind"),
    _text("project"),
    _text("name"),
    Column("number", _Whole, nullable=False),
    _text("digest"),
    _packed("manifest"),
    _packed("details"),
    _id("run_id", nullable=True),
    _time("created_at", nullable=False),
    _time("event_time"),
    _text("description", server_default=""),
    Column("tags", Packed(dict[str, str]), nullable=False, server_default="{}"),
    _text("stage", server_default=""),  # of MLflow's protocol
    _time("changed_at"),
    UniqueConstraint("kind", "project", "name", "number"),
    Index(None, "kind", "project", "name", "digest"),
    Index(None, "run_id"),
)

aliases = Table(
    "aliases",
    metadata,
    _text("kind", primary_key=True),
    _text("project", primary_key=True),
    _text("name", primary_key=True),
    _text("alias", primary_key=True),
    _id("version_id"),
    _time("moved_at", nullable=False),
    Index(None, "version_id"),
    sqlite_with_rowid=False,
)

deletions = Table(
    "deletions",
    metadata,
    _id("id", primary_key=True),
    _text("project"),
    _text("deleted_by"),
    _time("deleted_at", nullable=False),
    _time("purged_at"),
    Index(None, "deleted_at"),
    sqlite_with_rowid=False,
)
"""Versions that were deleted; their rows stay, without manifest and details once they are purged."""

# Lineage: (version, version, input), (version, run, read), (run, version, wrote).
edges = Table(
    "edges",
    metadata,
    _id("source", primary_key=True),
    _id("target", primary_key=True),
    _text("kind", primary_key=True),
    _time("created_at", nullable=False),
    Index(None, "target"),
    sqlite_with_rowid=False,
)

follows = Table(
    "follows",
    metadata,
    _id("run_id", primary_key=True),
    _text("kind", primary_key=True),
    _text("reference", primary_key=True),
    _id("version_id", nullable=False),
    sqlite_with_rowid=False,
)
"""References without a number that a run resolved, and what they named."""

declarations = Table(
    "declarations",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _text("project"),
    _text("kind"),
    _text("name"),
    _packed("body"),
    _text("snapshot", nullable=True),
    _text("principal"),
    _text("source", server_default=""),
    _time("created_at", nullable=False),
    Index(None, "project", "kind", "name"),
)

services = Table(
    "services",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _id(unique=True),
    _text("project"),
    _text("name"),
    _text("follows"),
    _text("rollout"),
    _text("node", server_default=LOCAL),  # the home that its files lie in
    Column("generation", _Whole, nullable=False),
    Column("desired", Boolean, nullable=False),
    _packed("revisions", list[records.Revision]),
    _packed("monitor"),
    _text("url"),
    Column("pid", _Whole, nullable=False),
    _text("health"),
    _packed("statistics"),
    _packed("problem", records.Problem),
    _time("created_at", nullable=False),
    UniqueConstraint("project", "name"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _id(unique=True),
    _id("run_id", unique=True),
    _text("project"),
    _text("model"),
    _text("alias"),
    _text("champion", nullable=True),
    _text("data"),
    Column("passed", Boolean, nullable=False),
    _text("summary"),
    _packed("evidence"),
    _time("created_at", nullable=False),
    _text("rules", server_default=""),
    Index(None, "project", "model", "alias"),
)

alarms = Table(
    "alarms",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _id(unique=True),
    _text("project"),
    _text("service"),
    _text("kind"),
    _text("subject"),
    _text("summary"),
    _packed("evidence"),
    _time("event_time", nullable=False),
    _text("state"),
    _id("renewal_id", nullable=True),
    _id("run_id", nullable=True),
    _time("created_at", nullable=False),
    UniqueConstraint("project", "service", "kind", "subject", "event_time"),
)

renewals = Table(
    "renewals",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _id(unique=True),
    _text("project"),
    _text("service"),
    _text("state"),
    _text("cause"),
    _time("event_time", nullable=False),
    _id("alarm_id", nullable=True),
    _id("run_id", nullable=True),
    _text("candidate", nullable=True),
    _text("champion", nullable=True),
    _id("verdict_id", nullable=True),
    Column("revision", _Whole, nullable=True),
    _packed("steps", list[Any]),
    _time("created_at", nullable=False),
    _time("closed_at"),
    Index(None, "project", "service", "state"),
    Index(None, "run_id"),
)

events = Table(
    "events",
    metadata,
    Column("seq", _Whole, primary_key=True, autoincrement=True),
    _time("time", nullable=False),
    _text("project"),
    _text("kind"),
    _text("subject"),
    _text("principal"),
    _packed("body"),
    _time("event_time"),
    Index(None, "kind"),
    Index(None, "subject"),
    sqlite_autoincrement=True,
)

requests = Table(
    "requests",
    metadata,
    _text("key", primary_key=True),
    Column("reply", LargeBinary, nullable=False),
    _time("created_at", nullable=False),
    Index(None, "created_at"),
    sqlite_with_rowid=False,
)

uses = Table(
    "uses",
    metadata,
    _text("project", primary_key=True),
    _text("digest", primary_key=True),
    _id("source", primary_key=True),
    Index(None, "source"),
    sqlite_with_rowid=False,
)
"""Which run or version names which blob: who may read that may read these bytes."""

uploads = Table(
    "uploads",
    metadata,
    _text("project", primary_key=True),
    _text("digest", primary_key=True),
    _text("holder", primary_key=True),
    Column("size_bytes", _Whole, nullable=False),
    _time("created_at", nullable=False),
    Index(None, "created_at"),
    sqlite_with_rowid=False,
)
"""Blobs that came over HTTP and that, for a while, need nobody to name them."""

cursors = Table("cursors", metadata, _text("name", primary_key=True), _packed("value"), sqlite_with_rowid=False)

# Who may do what only one owner at a time does, by the time of the database.
leases = Table(
    "leases",
    metadata,
    _text("name", primary_key=True),
    _text("holder"),
    Column("fence", _Whole, nullable=False),  # grows with every change of holder
    _time("expires_at", nullable=False),
    sqlite_with_rowid=False,
)

# What the record says of itself: its id.
meta = Table("meta", metadata, _text("name", primary_key=True), _text("value"), sqlite_with_rowid=False)

# The default project has a row only once something was set for it.
projects = Table(
    "projects",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _text("name", unique=True),
    _text("created_by"),
    _time("created_at", nullable=False),
    Column("keep_runs_s", Float, nullable=True),
    Column("keep_versions_s", Float, nullable=True),
    Column("keep_logs_s", Float, nullable=True),
    Column("keep_deleted_s", Float, nullable=True),
    Column("quota_bytes", _Whole, nullable=True),
)

# The blobs that are in `uses` of a project, each once; their sum is kept beside them, in the same transaction.
holdings = Table(
    "holdings",
    metadata,
    _text("project", primary_key=True),
    _text("digest", primary_key=True),
    Column("size_bytes", _Whole, nullable=False),
    sqlite_with_rowid=False,
)

# Objects that a collection removes or has removed: whoever names one meanwhile is told.
condemned = Table(
    "condemned",
    metadata,
    _text("digest", primary_key=True),
    _time("condemned_at", nullable=False),
    _time("removed_at"),
    sqlite_with_rowid=False,
)

usage = Table(
    "usage",
    metadata,
    _text("project", primary_key=True),
    Column("size_bytes", _Whole, nullable=False),
    sqlite_with_rowid=False,
)

principals = Table(
    "principals",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _id(unique=True),
    _text("kind"),
    _text("name", unique=True),
    _text("identity", nullable=True, unique=True),  # issuer and subject of one who signs in elsewhere
    _text("created_by"),
    _time("created_at", nullable=False),
)

grants = Table(
    "grants",
    metadata,
    _id("principal_id", primary_key=True),
    _text("project", primary_key=True),
    _text("role"),
    _text("created_by"),
    _time("created_at", nullable=False),
    sqlite_with_rowid=False,
)

tokens = Table(
    "tokens",
    metadata,
    Column("seq", _Whole, primary_key=True),
    Column("id", String(16), nullable=False, unique=True),
    _text("digest"),  # SHA-256 of the whole token; the token itself is nowhere
    _id("principal_id"),
    _text("name"),
    _packed("scopes", tuple[str, ...] | None),
    _time("expires_at"),
    _time("revoked_at"),
    _time("last_used_at"),
    _text("created_by"),
    _time("created_at", nullable=False),
    Index(None, "principal_id"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _text("project"),
    _text("name"),
    Column("envelope", LargeBinary, nullable=False),
    _text("created_by"),
    _time("created_at", nullable=False),
    _time("changed_at", nullable=False),
    UniqueConstraint("project", "name"),
)

# Keys of sensitive columns and blobs, each in an envelope of its own.
data_keys = Table(
    "data_keys",
    metadata,
    Column("seq", _Whole, primary_key=True),
    _id(unique=True),
    _text("project"),
    _text("name", nullable=True),
    Column("envelope", LargeBinary, nullable=False),
    _text("created_by"),
    _time("created_at", nullable=False),
    UniqueConstraint("project", "name"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", _Whole, primary_key=True, autoincrement=False),
    _time("time", nullable=False),
    _text("project"),
    _text("principal"),
    _text("action"),
    _text("subject"),
    _text("body"),  # canonical JSON, part of what is hashed
    _text("previous"),
    _text("digest"),
)
