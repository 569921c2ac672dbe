"""Refresh tokens carry the version that their account had at the login, and end with it.

Revision: 0005, after 0004; 2026-11-21 16:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# squawk-ignore adding-not-nullable-field: the first release has it, so no table has rows yet that are written meanwhile

TOKENS = sa.table("refresh_tokens", sa.column("user_id"), sa.column("token_version"))
USERS = sa.table("users", sa.column("id"), sa.column("token_version"))


def text(length: int) -> sa.types.TypeEngine[str]:
    """Text that PostgreSQL orders by code point, as SQLite does."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def tokens(*, nullable: bool) -> sa.Table:
    """The table with its new column: SQLite makes it anew, and with `--sql` there is no database to read it from."""
    return sa.Table(
        "refresh_tokens",
        sa.MetaData(),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("family", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", text(64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("token_version", sa.Integer(), nullable=nullable),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_refresh_tokens_user_id_users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_refresh_tokens"),
        sa.UniqueConstraint("fingerprint", name="uq_refresh_tokens_fingerprint"),
        sa.Index("ix_refresh_tokens_family", "family"),
        sa.Index("ix_refresh_tokens_user_id", "user_id"),
        sqlite_autoincrement=True,
    )


def upgrade() -> None:
    """Apply; the sessions that there are go on."""
    op.add_column("refresh_tokens", sa.Column("token_version", sa.Integer(), nullable=True))
    present = sa.select(USERS.c.token_version).where(USERS.c.id == TOKENS.c.user_id).scalar_subquery()
    op.execute(sa.update(TOKENS).values(token_version=present))
    with op.batch_alter_table("refresh_tokens", copy_from=tokens(nullable=True)) as table:
        table.alter_column("token_version", nullable=False)


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("refresh_tokens", copy_from=tokens(nullable=False)) as table:
        table.drop_column("token_version")
