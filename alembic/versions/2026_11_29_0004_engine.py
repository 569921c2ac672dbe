"""Follow the engine's migration of the search indexes, so that the database stores one revision.

Revision: 0004, after 0003 and rowhouse_0003; 2026-11-29
"""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = "rowhouse_0003"


def upgrade() -> None:
    """Change nothing."""


def downgrade() -> None:
    """Change nothing."""
