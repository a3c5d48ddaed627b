"""What keeping, sealing and the wire came to need."""

from alembic import op

from mainspring.store.migrations.shapes import Defaults, change_tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DEFAULTS: Defaults = {}
"""New columns have defaults of their own."""


def upgrade() -> None:
    """Lead the tables of 0002 to these."""
    change_tables(op.get_bind(), down_revision, revision, DEFAULTS)
