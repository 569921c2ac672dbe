"""One start in a process of its own: `python -m perf.app.micro.start_app rowhouse 100` prints one line of JSON.

Seconds from the first import to the application and of the OpenAPI document, kilobytes of the document and of what is
sent of it, and megabytes of the process. For Rowhouse also the milliseconds of the first page of books and of a later
one, from SQLite: FastCRUD needs a driver for it that is not installed. The entities are those of `entities_app`.
"""

import gzip
import json
import os
import resource
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from typing import Any

KILOBYTE, MILLISECONDS, PAGES = 1000, 1000, 20


def rowhouse(entities: int) -> Any:
    """Return Rowhouse with this number of entities."""
    from perf.app.micro.entities_app import create_app  # noqa: PLC0415  the import of each application is measured

    os.environ["ENTITIES"] = str(entities)
    os.environ["LOG_LEVEL"] = "error"
    return create_app()


def fastcrud(entities: int) -> Any:
    """Return FastCRUD with this number of entities of the same columns, as its documentation writes them."""
    from fastapi import FastAPI  # noqa: PLC0415  as above
    from fastcrud import crud_router  # noqa: PLC0415  as above
    from pydantic import BaseModel  # noqa: PLC0415  as above
    from sqlalchemy.ext.asyncio import AsyncSession  # noqa: PLC0415  as above
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column  # noqa: PLC0415  as above

    class Base(DeclarativeBase):
        """The declarative base."""

    async def session() -> AsyncSession:
        """Nothing asks the database."""
        raise NotImplementedError

    app = FastAPI()
    columns = {"name": str, "remark": str | None, "amount": int, "ratio": float, "is_open": bool}
    for number in range(entities):
        name = f"Stall{number}"
        mapped = {column: Mapped[kind] for column, kind in columns.items()} | {"id": Mapped[int]}  # type: ignore[valid-type]  # run time
        body = {"__tablename__": f"stalls_{number}", "__annotations__": mapped, "id": mapped_column(primary_key=True)}
        model = types.new_class(name, (Base,), {}, lambda namespace, body=body: namespace.update(body))  # type: ignore[misc]  # the default binds it
        schemas = [
            types.new_class(
                f"{name}{kind}", (BaseModel,), {}, lambda namespace: namespace.update(__annotations__=columns)
            )
            for kind in ("Create", "Update", "Select")
        ]
        create, update, select = schemas
        router = crud_router(
            session=session, model=model, create_schema=create, update_schema=update, select_schema=select,
            path=f"/stalls-{number}", tags=[name],
        )  # fmt: skip
        app.include_router(router)
    return app


def first_pages(app: Any) -> dict[str, float]:
    """Return the time of the first page of books, and the median of those of later ones."""
    from sqlmodel import SQLModel  # noqa: PLC0415  the memory of this is not the application's
    from starlette.testclient import TestClient  # noqa: PLC0415  as above

    SQLModel.metadata.create_all(app.state.database.engine)
    times = []
    with TestClient(app) as client:
        client.get("/health").raise_for_status()
        for _ in range(PAGES):
            begun = time.perf_counter()
            client.get("/api/v1/books").raise_for_status()
            times.append((time.perf_counter() - begun) * MILLISECONDS)
    return {"first_ms": times[0], "later_ms": statistics.median(times[1:])}


APPLICATIONS: dict[str, Callable[[int], Any]] = {"rowhouse": rowhouse, "fastcrud": fastcrud}


def main() -> None:
    """Measure and print."""
    name, entities = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        os.environ["DATABASE_URL"] = f"sqlite:///{directory}/start.db"
        measure(name, entities)


def measure(name: str, entities: int) -> None:
    """Measure one application and print."""
    begun = time.perf_counter()
    app = APPLICATIONS[name](entities)
    built = time.perf_counter()
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    asked = time.perf_counter()
    document = json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":"))
    described = time.perf_counter()
    figures = {
        "start_s": built - begun,
        "document_s": described - asked,
        "document_kb": len(document.encode()) / KILOBYTE,
        "sent_kb": len(gzip.compress(document.encode(), compresslevel=6)) / KILOBYTE,
        "memory_mb": megabytes,
        "all_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if name == "rowhouse":
        figures |= first_pages(app)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
