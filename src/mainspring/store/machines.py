"""Tables of where runs execute; `mainspring.store.tables` tells them on."""

from __future__ import annotations

from mainspring.domain.quotas import Amounts, Money
from mainspring.store.columns import Packed, Whole, id_column, metadata, only_where, text_column, time_column
from mainspring.store.words import Boolean, Column, Float, Index, Table

pools = Table(
    "pools",
    metadata,
    Column("seq", Whole, primary_key=True),
    text_column("name", unique=True),
    text_column("url"),
    text_column("zone"),
    text_column("owner"),
    text_column("trust"),
    Column("price", Float, nullable=False),
    Column("start_s", Float, nullable=False),
    Column("spot", Boolean, nullable=False),
    Column("burst_after_s", Float, nullable=False),
    Column("idle_s", Float, nullable=False),
    text_column("created_by"),
    time_column("created_at", nullable=False),
    time_column("changed_at", nullable=False),
)

drains = Table(
    "drains",
    metadata,
    text_column("place", primary_key=True),
    text_column("drained_by"),
    time_column("drained_at", nullable=False),
    sqlite_with_rowid=False,
)
"""Machines on which nothing more starts."""

quotas = Table(
    "quotas",
    metadata,
    text_column("tenant", primary_key=True),
    Column("weight", Float, nullable=False),
    Column("priority", Whole, nullable=True),
    Column("guarantee", Packed(Amounts), nullable=False),
    Column("most", Packed(Amounts), nullable=False),
    Column("budget", Packed(Money), nullable=False),
    text_column("set_by"),
    time_column("set_at", nullable=False),
    Column("preempted", Whole, nullable=False, server_default="0"),
    Column("lost_gpu_s", Float, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
"""What was agreed about tenants."""

bills = Table(
    "bills",
    metadata,
    id_column("run_id", primary_key=True),
    Column("attempt", Whole, primary_key=True),
    text_column("tenant"),
    text_column("pool"),
    text_column("node"),
    Column("rate", Float, nullable=False),
    time_column("since", nullable=False),
    time_column("until"),
    Index(None, "until"),
    Index("bills_open", "node", **only_where("until IS NULL")),
    sqlite_with_rowid=False,
)
"""What attempts on rented machines cost; they stay when the run goes."""

usages = Table(
    "usages",
    metadata,
    text_column("node", primary_key=True),
    text_column("tenant", primary_key=True),
    Column("mean", Packed(list[float]), nullable=False),
    time_column("at", nullable=False),
    sqlite_with_rowid=False,
)
"""What tenants have had in a past that fades, as each owner has seen it."""
