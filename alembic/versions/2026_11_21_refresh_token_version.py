"""Refresh tokens carry the version that their account had at the login, and end with it.

Revision: 0005, after 0004; 2026-11-21 16:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# SQLite makes the table anew, and would forget that its keys never count back.
COUNTING = {"sqlite_autoincrement": True}
TOKENS = sa.table("refresh_tokens", sa.column("user_id"), sa.column("token_version"))
USERS = sa.table("users", sa.column("id"), sa.column("token_version"))


def upgrade() -> None:
    """Apply; the sessions that there are go on."""
    with op.batch_alter_table("refresh_tokens", table_kwargs=COUNTING) as table:
        table.add_column(sa.Column("token_version", sa.Integer(), nullable=True))
    present = sa.select(USERS.c.token_version).where(USERS.c.id == TOKENS.c.user_id).scalar_subquery()
    op.execute(sa.update(TOKENS).values(token_version=present))
    with op.batch_alter_table("refresh_tokens", table_kwargs=COUNTING) as table:
        table.alter_column("token_version", nullable=False)


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("refresh_tokens", table_kwargs=COUNTING) as table:
        table.drop_column("token_version")
