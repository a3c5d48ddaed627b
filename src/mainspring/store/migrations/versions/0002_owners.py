"""Several owners of one record: nodes and leases; the record gets an id."""

import secrets

from alembic import op

from mainspring.store.migrations.shapes import Defaults, change_tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DEFAULTS: Defaults = {}
"""The new columns have defaults of their own."""


def upgrade() -> None:
    """Add nodes, leases and the record's id."""
    change_tables(op.get_bind(), down_revision, revision, DEFAULTS)
    op.get_bind().exec_driver_sql(f"INSERT INTO meta (name, value) VALUES ('record', '{secrets.token_hex(16)}')")  # noqa: S608


def downgrade() -> None:
    """Refuse; the copy made before a migration is the way back."""
    raise NotImplementedError("restore the copy in the folder of backups")
