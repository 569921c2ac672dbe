"""Refresh tokens that are of no use any more are found by an index.

Revision: 0009, after 0008; 2026-11-27 16:00:00.000000
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# squawk-ignore require-concurrent-index-creation: the first release has it, so no table has rows yet that are written meanwhile


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_refresh_tokens_revoked_at_expires_at", "refresh_tokens", ["revoked_at", "expires_at"])


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_refresh_tokens_revoked_at_expires_at", "refresh_tokens")
