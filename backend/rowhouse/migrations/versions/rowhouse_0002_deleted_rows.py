"""Let lists find deleted rows by their age and their owner.

Revision: rowhouse_0002, after rowhouse_0001; 2026-11-28

Rows that were deleted before have no owner here: lists show them to administrators, and their owners restore them by
their keys.
"""

import sqlalchemy as sa
from alembic import op

revision = "rowhouse_0002"
down_revision = "rowhouse_0001"
branch_labels = None
depends_on = None

NEWEST = "ix_deleted_rows_entity_deleted_at_row_id"
NEWEST_OF_OWNER = "ix_deleted_rows_entity_owner_id_deleted_at_row_id"


def upgrade() -> None:
    """Apply."""
    op.add_column("deleted_rows", sa.Column("owner_id", sa.BigInteger(), nullable=True))
    # squawk-ignore require-concurrent-index-creation: only deletes and restores wait, two seconds for a million rows
    op.create_index(NEWEST, "deleted_rows", ["entity", "deleted_at", "row_id"])
    op.create_index(NEWEST_OF_OWNER, "deleted_rows", ["entity", "owner_id", "deleted_at", "row_id"])


def downgrade() -> None:
    """Undo."""
    op.drop_index(NEWEST_OF_OWNER, "deleted_rows")
    op.drop_index(NEWEST, "deleted_rows")
    op.drop_column("deleted_rows", "owner_id")
