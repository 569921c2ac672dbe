"""Create the engine's functions and tables: accounts, idempotency keys, deleted rows and history.

Revision: rowhouse_0001, the first of the branch `rowhouse`; 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

from rowhouse.db.sql_functions import (
    create_fold_function,
    create_gram_functions,
    drop_fold_function,
    drop_gram_functions,
)

revision = "rowhouse_0001"
down_revision = None
branch_labels = ("rowhouse",)
depends_on = None


def text(length: int) -> sa.types.TypeEngine[str]:
    """Return a text type that PostgreSQL orders by code point, as SQLite does."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    create_fold_function(op.get_bind())
    create_gram_functions(op.get_bind())
    _create_accounts()
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", text(600), nullable=False),
        sa.Column("key", text(255), nullable=False),
        sa.Column("fingerprint", text(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
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


def _create_accounts() -> None:
    op.create_table(
        "users",
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", text(254), nullable=False),
        sa.Column("full_name", text(200), nullable=False),
        sa.Column("role", text(32), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("hashed_password", text(60), nullable=False),
        sa.Column("token_version", sa.Integer(), nullable=False),
        sa.CheckConstraint("email = lower(email)", name=op.f("ck_users_email_lower")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sqlite_autoincrement=True,
    )
    op.create_search_index("ix_users_search", "users", "email", "full_name")  # type: ignore[attr-defined]  # our operation
    op.create_table(
        "refresh_tokens",
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("token_version", sa.Integer(), nullable=False),
        sa.Column("family", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", text(64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_refresh_tokens_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refresh_tokens")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_refresh_tokens_fingerprint")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_refresh_tokens_family", "refresh_tokens", ["family"])
    op.create_index("ix_refresh_tokens_user_id", "refresh_tokens", ["user_id"])
    op.create_index("ix_refresh_tokens_revoked_at_expires_at", "refresh_tokens", ["revoked_at", "expires_at"])


def downgrade() -> None:
    """Undo."""
    for table in ("history_entries", "deleted_rows", "idempotency_keys", "refresh_tokens", "users"):
        op.drop_table(table)
    drop_gram_functions(op.get_bind())
    drop_fold_function(op.get_bind())
