"""The tables of the first release."""

from alembic import op

from mainspring.store.migrations.shapes import make_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table and index."""
    make_tables(op.get_bind(), revision)
