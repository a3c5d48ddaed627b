"""The tables of the first release."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table and index."""
    for statement in Path(__file__).with_name("0001.sql").read_text("utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuse; the copy made before a migration is the way back."""
    raise NotImplementedError("restore the copy beside the record")
