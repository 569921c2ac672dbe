"""SQLite knows which tables are searched by an index, so that a migration that is written there knows it too.

Revision: 0010, after 0009; 2026-11-27 21:00:00.000000
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_books_search", "books", "title, author"),
    ("ix_reviews_search", "reviews", "comment"),
    ("ix_users_search", "users", "email, full_name"),
)


def upgrade() -> None:
    """Apply; a database that is made today has them from 0006 on."""
    if op.get_context().dialect.name == "sqlite":
        for name, table, columns in INDEXES:
            op.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns}) WHERE 0")


def downgrade() -> None:
    """Leave them: 0006 drops them."""
