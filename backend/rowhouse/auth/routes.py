"""Sign-up, sessions and the caller's own account. Each route parses the input and calls one service."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Depends, Form
from pydantic import MISSING, AfterValidator, BaseModel, BeforeValidator, ConfigDict, EmailStr, Field, create_model
from starlette.requests import Request
from starlette.responses import Response

from rowhouse.auth import service
from rowhouse.auth.models import USER, User
from rowhouse.core.errors import EmptyUpdateError
from rowhouse.core.openapi import problem_responses, response_header
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.security import MAX_PASSWORD_BYTES, hash_password
from rowhouse.core.settings import Settings
from rowhouse.http.dependencies import AttemptsDep, CallerDep, SessionDep, SettingsDep, UnitDep
from rowhouse.http.routing import Router, before_transaction, in_worker_group
from rowhouse.metrics.layout import HASH_SECONDS, HASHES
from rowhouse.metrics.recorder import Stopwatch
from rowhouse.operations.request import entity_tags
from rowhouse.operations.route import TAGGED
from rowhouse.registration.router import IF_MATCH
from rowhouse.requests.paths import location_of
from rowhouse.schemas.json_types import NO_NUL
from rowhouse.workers.runner import WorkerGroup

STRICT = ConfigDict(strict=True, extra="forbid")
LOCATED = response_header("Location", "The path of the new account.")
UNSTORED = {"headers": response_header("Cache-Control", "`no-store`: no cache may keep the tokens (RFC 6749 §5.1).")}


def _fits_bcrypt(password: str) -> str:
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise ValueError(f"a password has at most {MAX_PASSWORD_BYTES} bytes in UTF-8")
    return password


def _bare_address(email: Any) -> Any:
    """Reject `Ann <ann@example.com>`. `EmailStr` would accept it and drop the name."""
    if isinstance(email, str) and "<" in email:
        raise ValueError("write the address alone, without a name or angle brackets")
    return email


Email = Annotated[
    EmailStr, BeforeValidator(_bare_address), AfterValidator(service.normalise_email), Field(max_length=254)
]
Password = Annotated[
    str, Field(min_length=8, max_length=MAX_PASSWORD_BYTES, pattern=NO_NUL), AfterValidator(_fits_bcrypt)
]
FullName = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]


class SignUp(BaseModel):
    """A new account. Clients cannot sign up as `admin`."""

    model_config = STRICT

    email: Email
    password: Password
    full_name: FullName
    role: str = USER


def sign_up_schema(roles: Sequence[str]) -> type[SignUp]:
    """Return the body of a sign-up for these roles; without a role the account gets the first."""
    chosen: Any = Literal.__getitem__(tuple(roles))
    return create_model("UserCreate", __base__=SignUp, __doc__=SignUp.__doc__, role=(chosen, roles[0]))


class ProfileUpdate(BaseModel):
    """The fields of an account that its owner may change."""

    model_config = ConfigDict(**STRICT, json_schema_extra={"minProperties": 1})

    full_name: FullName | MISSING = MISSING


class PasswordChange(BaseModel):
    """The present password and the new one."""

    model_config = STRICT

    current_password: Annotated[str, Field(max_length=1000)]
    new_password: Password


class LoginForm(BaseModel):
    """OAuth2's password form (RFC 6749 §4.3.2). An empty field of a form counts as missing."""

    username: Annotated[str, Field(min_length=1)]
    password: Annotated[str, Field(min_length=1, json_schema_extra={"format": "password"})]
    grant_type: Literal["password"] = "password"
    scope: str = ""
    client_id: str = ""
    client_secret: str = ""


class RefreshRequest(BaseModel):
    """A refresh token."""

    model_config = STRICT

    refresh_token: Annotated[str, Field(max_length=1000)]


class TokenPair(BaseModel):
    """An access token for `Authorization: Bearer`, and the refresh token for the next pair.

    `expires_in` is in seconds.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105  # nosec B105  # the name of a scheme
    expires_in: int


auth = Router(prefix="/auth", tags=["auth"], description="Sign in, stay signed in, and sign out.")


def account_routes(public: type[BaseModel], sign_up: type[SignUp]) -> Router:
    """Return the routes of sign-up and of the caller's own account, for a project's roles.

    `public` is the schema of an account in responses, `sign_up` the body of a sign-up.
    """
    users = Router(prefix="/users", tags=["users"], description="Sign-up, and the caller's own account.")
    _add_sign_up(users, public, sign_up)
    _add_profile(users, public)
    users.post("/me/password", policy=SIGNED_IN, status_code=204, responses=problem_responses(429))(change_my_password)
    return users


def _add_sign_up(users: Router, public: type[BaseModel], sign_up: type[SignUp]) -> None:
    @before_transaction
    def new_user(
        body: sign_up,  # type: ignore[valid-type]  # known at run time
        settings: SettingsDep,
        attempts: AttemptsDep,
    ) -> User:
        """Return the account to store. Hash its password before the session takes SQLite's write lock."""
        attempts.sign_up()
        given: SignUp = body
        with Stopwatch(attempts.throttle.metrics, HASHES, HASH_SECONDS):
            hashed = hash_password(given.password, cost=settings.bcrypt_cost)
        return User(email=given.email, full_name=given.full_name, role=given.role, hashed_password=hashed)

    @users.post(
        "",
        policy=ANYONE,
        status_code=201,
        response_model=public,
        responses={201: {"headers": LOCATED}, **problem_responses(409, 429)},
    )
    @in_worker_group(WorkerGroup.SIGN_UP)
    def create_user(
        user: Annotated[User, Depends(new_user)], session: SessionDep, request: Request, response: Response
    ) -> User:
        """Sign up."""
        service.sign_up(session, user)
        response.headers["Location"] = location_of(request, user.id)
        return user


def _add_profile(users: Router, public: type[BaseModel]) -> None:
    @users.get("/me", policy=SIGNED_IN, response_model=public, responses={200: {"headers": TAGGED}})
    def read_me(caller: CallerDep, session: SessionDep, response: Response) -> User:
        """The caller's account."""
        user = service.active_user(session, caller.id)
        response.headers["ETag"] = service.version_of(user)
        return user

    @users.patch(
        "/me",
        policy=SIGNED_IN,
        response_model=public,
        openapi_extra={"parameters": [IF_MATCH]},
        responses={200: {"headers": TAGGED}, **problem_responses(400, 412)},
    )
    def update_me(
        body: ProfileUpdate, caller: CallerDep, session: SessionDep, request: Request, response: Response
    ) -> User:
        """Change the caller's own name."""
        if body.full_name is MISSING:
            raise EmptyUpdateError
        given = request.headers.getlist("If-Match")
        tags = entity_tags(", ".join(given)) if given else None
        user = service.change_name(session, caller.id, body.full_name, tags=tags)
        response.headers["ETag"] = service.version_of(user)
        return user


@in_worker_group(WorkerGroup.HASHING)
def change_my_password(body: PasswordChange, caller: CallerDep, unit: UnitDep, attempts: AttemptsDep) -> None:
    """Change the password. Every session ends, this one too."""
    # Hash before the session takes SQLite's write lock.
    version, hashed = service.check_own_password(
        unit, caller.id, body.current_password, new=body.new_password, attempts=attempts
    )
    service.change_password(unit.session, caller.id, hashed, version=version)


@auth.post("/login", policy=ANYONE, responses={200: UNSTORED, **problem_responses(401, 403, 415, 429)})
@in_worker_group(WorkerGroup.HASHING)
def login(
    form: Annotated[LoginForm, Form()], unit: UnitDep, settings: SettingsDep, attempts: AttemptsDep, response: Response
) -> TokenPair:
    """Sign in with the OAuth2 password form; `username` is the e-mail address."""
    access_token, refresh_token = service.log_in(
        unit, form.username, form.password, attempts=attempts, settings=settings
    )
    return _pair(access_token, refresh_token, settings, response)


@auth.post("/refresh", policy=ANYONE, responses={200: UNSTORED, **problem_responses(401, 403)})
def refresh(body: RefreshRequest, session: SessionDep, settings: SettingsDep, response: Response) -> TokenPair:
    """Spend a refresh token for a new pair."""
    access_token, refresh_token = service.rotate(session, body.refresh_token, settings=settings)
    return _pair(access_token, refresh_token, settings, response)


@auth.post("/logout", policy=ANYONE, status_code=204)
def logout(body: RefreshRequest, session: SessionDep) -> None:
    """End the session that the refresh token belongs to."""
    service.log_out(session, body.refresh_token)


def _pair(access_token: str, refresh_token: str, settings: Settings, response: Response) -> TokenPair:
    response.headers["Cache-Control"] = "no-store"
    seconds = settings.access_token_minutes * 60
    return TokenPair(access_token=access_token, refresh_token=refresh_token, expires_in=seconds)
