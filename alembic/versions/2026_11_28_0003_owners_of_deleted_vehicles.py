"""Give deleted vehicles their owners, so that drivers find them at `GET /vehicles/deleted`.

Revision: 0003, after 0002 and rowhouse_0002; 2026-11-28
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = "rowhouse_0002"

OWNERS = {
    "postgresql": "CAST(CAST(content AS json) ->> 'driver_id' AS bigint)",
    "sqlite": "json_extract(content, '$.driver_id')",
}


def upgrade() -> None:
    """Apply."""
    owner = OWNERS[op.get_context().dialect.name]
    # The expression is one of the two above.
    op.execute(f"UPDATE deleted_rows SET owner_id = {owner} WHERE entity = 'vehicles' AND owner_id IS NULL")  # noqa: S608  # nosec B608


def downgrade() -> None:
    """Undo nothing: the engine's migration drops the column."""
