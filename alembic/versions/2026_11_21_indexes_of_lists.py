"""Indexes in the order in which lists give their rows: what is equal in the order of the key.

Revision: 0007, after 0006; 2026-11-21 19:20:00.000000
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# squawk-ignore require-concurrent-index-creation: the first release has it, so no table has rows yet that are written meanwhile
# squawk-ignore require-concurrent-index-deletion: the first release has it, so no table has rows yet that are written meanwhile

# Each holds what one of a single column held, and the key.
WIDENED = (
    ("books", "author"),
    ("books", "category_id"),
    ("bookings", "driver_id"),
    ("orders", "customer_id"),
    ("reviews", "book_id"),
)
NEW = (
    ("books", ("price", "id")),
    ("bookings", ("start_time",)),
    ("orders", ("status", "id")),
    ("vehicles", ("plate",)),
)


def upgrade() -> None:
    """Apply."""
    for table, column in WIDENED:
        op.create_index(f"ix_{table}_{column}_id", table, [column, "id"])
        op.drop_index(f"ix_{table}_{column}", table)
    for table, columns in NEW:
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def downgrade() -> None:
    """Undo."""
    for table, columns in reversed(NEW):
        op.drop_index(f"ix_{table}_{'_'.join(columns)}", table)
    for table, column in reversed(WIDENED):
        op.create_index(f"ix_{table}_{column}", table, [column])
        op.drop_index(f"ix_{table}_{column}_id", table)
