"""Books, users and reviews are searched by index, on PostgreSQL with or without extensions.

Revision: 0006, after 0005; 2026-11-21 19:30:00.000000
"""

from alembic import op

from rowhouse.db.sql_functions import create_trigram_function, drop_trigram_function

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# squawk-ignore require-concurrent-index-creation: the first release has it, so no table has rows yet that are written meanwhile


def upgrade() -> None:
    """Apply; a million books take about a minute, in which they are read but not written."""
    create_trigram_function(op.get_bind())
    op.create_search_index("ix_books_search", "books", "title", "author")
    op.create_search_index("ix_reviews_search", "reviews", "comment")
    op.create_search_index("ix_users_search", "users", "email", "full_name")


def downgrade() -> None:
    """Undo."""
    op.drop_search_index("ix_users_search", "users", "email", "full_name")
    op.drop_search_index("ix_reviews_search", "reviews", "comment")
    op.drop_search_index("ix_books_search", "books", "title", "author")
    drop_trigram_function(op.get_bind())
