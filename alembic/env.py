"""Run the migrations of this project and of the engine on the database that the settings name."""

from sqlmodel import SQLModel

import app.api  # noqa: F401  imports every model
from rowhouse.migrations.environment import run

run(SQLModel.metadata)
