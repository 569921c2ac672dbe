"""Run the migrations of this project and of the engine on the database that the settings name."""

from importlib import import_module
from importlib.util import find_spec

from sqlmodel import SQLModel

from rowhouse.migrations.environment import run

if find_spec("app"):  # without the product, the engine's own tables are left
    import_module("app.api")  # imports every model

run(SQLModel.metadata)
