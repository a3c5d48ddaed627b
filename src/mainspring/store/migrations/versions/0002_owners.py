"""Several owners of one record: nodes and leases, an id of the record; projects, and who may."""

import secrets

from alembic import op

from mainspring.store.migrations.shapes import Defaults, change_tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DEFAULTS: Defaults = {
    table: {"project": "'default'"} for table in ("alarms", "cache", "declarations", "events", "renewals", "verdicts")
}
"""All that was there belongs to the first project; the other new columns have defaults of their own."""


def upgrade() -> None:
    """Add nodes, leases, the record's id and who may; put what is there into the first project."""
    change_tables(op.get_bind(), down_revision, revision, DEFAULTS)
    op.get_bind().exec_driver_sql(f"INSERT INTO meta (name, value) VALUES ('record', '{secrets.token_hex(16)}')")  # noqa: S608
