"""One start in a process of its own: `python -m perf.app.micro.start_app rowhouse 100` prints one line of JSON.

Seconds from the first import to the application and of the OpenAPI document, kilobytes of the document, and megabytes
of the process. The entities are those of `entities_app`.
"""

import json
import resource
import sys
import time
import types
from collections.abc import Callable
from typing import Any

KILOBYTE, MILLISECONDS = 1000, 1000


def rowhouse(entities: int) -> Any:
    """Return Rowhouse with this number of entities."""
    import os  # noqa: PLC0415  the import of each application is measured

    from perf.app.micro.entities_app import create_app  # noqa: PLC0415  as above

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


APPLICATIONS: dict[str, Callable[[int], Any]] = {"rowhouse": rowhouse, "fastcrud": fastcrud}


def main() -> None:
    """Measure and print."""
    name, entities = sys.argv[1], int(sys.argv[2])
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
        "memory_mb": megabytes,
        "all_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
