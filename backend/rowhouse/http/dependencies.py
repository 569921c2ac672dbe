"""The dependencies of hand-written routes: `SessionDep`, `UnitDep`, `CallerDep`, `SettingsDep`, `AttemptsDep`.

They are plain `def` dependencies, which `OneHopRoute` calls in the worker thread. A route that takes a session and the
caller uses one connection.
"""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from sqlmodel import Session

from rowhouse.core.security import Caller, bearer_token
from rowhouse.core.settings import Settings
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.requests.throttling import ThrottledAttempts
from rowhouse.workers.runner import current_unit_of_work

# Relative to the prefix of a registry; the OpenAPI document has the whole path.
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="auth/login", auto_error=False)


def get_unit() -> UnitOfWork:
    """The request's unit of work."""
    return current_unit_of_work()


def get_session() -> Session:
    """The request's session. Flush it, never commit it: the unit of work commits before the response."""
    return current_unit_of_work().session


def get_settings(request: Request) -> Settings:
    """The application's settings."""
    settings: Settings = request.app.state.settings
    return settings


def get_caller(request: Request, _scheme: Annotated[str | None, Depends(oauth2_scheme)]) -> Caller:
    """Return the signed-in caller. Tests override it.

    Example:
        app.dependency_overrides[get_caller] = lambda: Caller(id=1, role="admin", is_admin=True)

    Raises:
        NotAuthenticatedError: 401 when nobody is signed in.
    """
    unit = current_unit_of_work()
    if unit.caller is not None:
        return unit.caller
    return unit.authenticate(bearer_token(request.headers.get("authorization", "")))


def get_attempts(request: Request) -> ThrottledAttempts:
    """The failed attempts of the client, by its address: the socket's peer, or that from a trusted proxy (uvicorn)."""
    return ThrottledAttempts(request.app.state.throttle, request.client.host if request.client else "")


UnitDep = Annotated[UnitOfWork, Depends(get_unit)]
"""The request's unit of work, as the type of a parameter.

Example:
    def publish_post(post_id: PostId, posts: PostsDep, unit: UnitDep) -> Row: ...
"""
SessionDep = Annotated[Session, Depends(get_session)]
"""The request's SQLModel session. Flush it, never commit it.

Example:
    def list_similar_books(book_id: BookId, session: SessionDep) -> list[Book]: ...
"""
SettingsDep = Annotated[Settings, Depends(get_settings)]
"""The application's settings.

Example:
    def read_limits(settings: SettingsDep) -> Limits: ...
"""
CallerDep = Annotated[Caller, Depends(get_caller)]
"""The signed-in caller; 401 without one.

Example:
    def praise_book(book_id: BookId, session: SessionDep, caller: CallerDep) -> None: ...
"""
AttemptsDep = Annotated[ThrottledAttempts, Depends(get_attempts)]
