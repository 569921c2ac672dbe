"""Create the charging network: charge points, vehicles and bookings.

Revision: 0002, after 0001; 2026-11-27
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def text(length: int) -> sa.types.TypeEngine[str]:
    """Return a text type that PostgreSQL orders by code point, as SQLite does."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "charge_points",
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", text(32), nullable=False),
        sa.Column("name", text(200), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=False),
        sa.Column("longitude", sa.Float(), nullable=False),
        sa.Column("connector", text(32), nullable=False),
        sa.Column("power_kw", sa.Numeric(precision=6, scale=1), nullable=False),
        sa.Column("price_per_kwh", sa.Numeric(precision=8, scale=4), nullable=False),
        sa.Column("status", text(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge_points")),
        sa.UniqueConstraint("code", name=op.f("uq_charge_points_code")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "vehicles",
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("driver_id", sa.Integer(), nullable=False),
        sa.Column("plate", text(20), nullable=False),
        sa.Column("connector", text(32), nullable=False),
        sa.ForeignKeyConstraint(["driver_id"], ["users.id"], name=op.f("fk_vehicles_driver_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vehicles")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_vehicles_driver_id", "vehicles", ["driver_id"])
    op.create_index("ix_vehicles_plate", "vehicles", ["plate"])
    _create_bookings()


def _create_bookings() -> None:
    op.create_table(
        "bookings",
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("charge_point_id", sa.Integer(), nullable=False),
        sa.Column("driver_id", sa.Integer(), nullable=False),
        sa.Column("vehicle_id", sa.Integer(), nullable=True),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", text(32), nullable=False),
        sa.Column("hold_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("start_time < end_time", name=op.f("ck_bookings_times_in_order")),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_points.id"], name=op.f("fk_bookings_charge_point_id_charge_points")
        ),
        sa.ForeignKeyConstraint(["driver_id"], ["users.id"], name=op.f("fk_bookings_driver_id_users")),
        sa.ForeignKeyConstraint(["vehicle_id"], ["vehicles.id"], name=op.f("fk_bookings_vehicle_id_vehicles")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bookings")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bookings_charge_point_id_start_time", "bookings", ["charge_point_id", "start_time"])
    op.create_index("ix_bookings_driver_id_id", "bookings", ["driver_id", "id"])
    op.create_index("ix_bookings_start_time", "bookings", ["start_time"])
    op.create_index("ix_bookings_vehicle_id", "bookings", ["vehicle_id"])
    op.create_no_overlap(
        "ex_bookings_slot",
        "bookings",
        resource="charge_point_id",
        start="start_time",
        end="end_time",
        live={"status": ("PENDING", "CONFIRMED", "ACTIVE")},
    )


def downgrade() -> None:
    """Undo."""
    for table in ("bookings", "vehicles", "charge_points"):
        op.drop_table(table)
