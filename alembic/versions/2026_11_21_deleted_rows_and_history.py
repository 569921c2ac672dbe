"""What `soft_delete` and `history` keep of every entity that asks for it.

Revision: 0003, after 0002; 2026-11-21 13:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def text(length: int) -> sa.types.TypeEngine[str]:
    """Text that PostgreSQL orders by code point, as SQLite does."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "deleted_rows",
        sa.Column("entity", text(255), nullable=False),
        sa.Column("row_id", text(600), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_by", sa.BigInteger(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("entity", "row_id", name=op.f("pk_deleted_rows")),
    )
    op.create_table(
        "history_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("entity", text(255), nullable=False),
        sa.Column("row_id", text(600), nullable=False),
        sa.Column("action", text(32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.BigInteger(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history_entries")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_history_entries_entity_row_id_id", "history_entries", ["entity", "row_id", "id"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("history_entries")
    op.drop_table("deleted_rows")
