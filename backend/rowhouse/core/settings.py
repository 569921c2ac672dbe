"""The settings, and the only reader of the environment.

Frozen: nothing changes a setting after start. A secret has no usable default outside development.
`.env.example` lists every setting; a test keeps the two equal.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rowhouse.core.security import MAX_PASSWORD_BYTES

# Public on purpose: every other environment refuses it.
DEVELOPMENT_SECRET = "development-only-secret-never-use-this-in-production-0123456789"  # noqa: S105  # nosec B105
MIN_SECRET_BYTES = 32
MIN_PASSWORD = 8
MIN_METRICS_TOKEN = 16
NO_ROLES = ("none",)
# RFC 6454 §6.2: scheme, host in lower case and, unless it is the scheme's own, the port.
ORIGIN = re.compile(r"https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")


class Environment(StrEnum):
    """Where the process runs. Any other than development refuses weak secrets.

    Example:
        if settings.environment is Environment.PRODUCTION:
            ...
    """

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class ProjectSettings(BaseSettings):
    """The base class of a project's own settings, which are read from the environment and from `.env`.

    Example:
        class BookingSettings(ProjectSettings):
            booking_hold_minutes: int = 15
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )


class Settings(ProjectSettings):
    """Every setting of the engine, read from the environment and from `.env`.

    Example:
        app = create_app(registry, settings=Settings(database_url="sqlite:///test.db"))

    Raises:
        pydantic.ValidationError: at start-up, naming the setting and how to fix it.
    """

    environment: Environment = Environment.DEVELOPMENT
    # It may contain a password, so `repr` omits it.
    database_url: Annotated[str, Field(repr=False)] = "sqlite:///data/rowhouse.db"

    # One number sets threads, connections and overload: each worker thread has one connection.
    worker_threads: Annotated[int, Field(ge=1, le=200)] = 8
    queue_seconds: Annotated[float, Field(gt=0, le=30)] = 1.5
    lock_seconds: Annotated[float, Field(gt=0, le=30)] = 1.5
    statement_seconds: Annotated[float, Field(gt=0, le=3600)] = 5
    # 0 disables the log.
    slow_statement_ms: Annotated[int, Field(ge=0)] = 500
    database_pooler: Annotated[str, Field(pattern="^(auto|yes|no)$")] = "auto"
    prepare_statements: Annotated[str, Field(pattern="^(auto|always|never)$")] = "auto"
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    max_import_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()

    # The server serves reads only, so its database may be a standby.
    read_only: bool = False
    # A shutdown takes at most the sum of both, whatever clients do.
    drain_seconds: Annotated[float, Field(ge=0, le=300)] = 0
    shutdown_seconds: Annotated[float, Field(ge=1, le=600)] = 10
    # Limits for slow clients. The first two apply under `rowhouse.cli.serve`; plain uvicorn has no such limits.
    header_seconds: Annotated[float, Field(gt=0, le=300)] = 10
    max_header_bytes: Annotated[int, Field(ge=4096)] = 64 * 1024
    body_seconds: Annotated[float, Field(gt=0, le=600)] = 20

    jwt_secret: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    access_token_minutes: Annotated[int, Field(ge=1, le=1440)] = 15
    refresh_token_days: Annotated[int, Field(ge=1, le=365)] = 7
    refresh_grace_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    bcrypt_cost: Annotated[int, Field(ge=10, le=16)] = 10
    admin_email: str | None = None
    admin_password: SecretStr | None = None

    # The roles that may use the pages at /admin, which the extra `admin` brings. `none` turns them off.
    admin_roles: Annotated[tuple[str, ...], NoDecode] = ("admin",)

    # The first limit is for one account and one network; the second for an account and all networks without a
    # successful login.
    login_failures_per_account: Annotated[int, Field(ge=1)] = 10
    login_failures_per_account_everywhere: Annotated[int, Field(ge=1)] = 50
    login_failures_per_address: Annotated[int, Field(ge=1)] = 100
    login_failure_minutes: Annotated[int, Field(ge=1, le=1440)] = 15
    # Every sign-up costs a hash; a network of many people has one address.
    sign_ups_per_address: Annotated[int, Field(ge=1)] = 50
    sign_up_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    # For one account, or one network address without an account. None for no limit.
    rate_limit: Annotated[str | None, Field(pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$")] = None
    rate_limit_storage_url: Annotated[str, Field(pattern=r"^(memory://$|(redis|valkey)s?(\+\w+)?://)")] = "memory://"
    idempotency_keys_per_account: Annotated[int, Field(ge=1)] = 100_000

    slo_ms: Annotated[int, Field(ge=1)] = 200

    metrics: bool = True
    # Anybody may read /metrics in development. Elsewhere it is closed without a token.
    metrics_token: Annotated[SecretStr | None, Field(min_length=MIN_METRICS_TOKEN)] = None
    metrics_directory: Path | None = None

    log_level: Annotated[str, Field(pattern="^(debug|info|warning|error)$")] = "info"
    log_json: bool = True
    access_log: bool = True

    @property
    def serves_metrics(self) -> bool:
        """True if `/metrics` exists and the engine counts for it."""
        return self.metrics and (self.environment is Environment.DEVELOPMENT or self.metrics_token is not None)

    @model_validator(mode="before")
    @classmethod
    def _split_lists(cls, values: dict[str, object]) -> dict[str, object]:
        """Split `CORS_ORIGINS` and `ADMIN_ROLES`, comma-separated lists."""
        for name in ("cors_origins", "admin_roles"):
            listed = values.get(name)
            if isinstance(listed, str):
                values[name] = tuple(part.strip() for part in listed.split(",") if part.strip())
        if values.get("admin_roles") == NO_ROLES:
            values["admin_roles"] = ()
        return values

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """Reject origins that no browser sends. They are compared letter by letter and would have no effect."""
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    "CORS_ORIGINS: write each origin as browsers send it, https://shop.example; "
                    "no *, null, path or final slash"
                )
        return origins

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        """Reject a guessable signing key, with which anybody could forge an administrator's token."""
        secret = self.jwt_secret.get_secret_value()
        if len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"JWT_SECRET needs at least {MIN_SECRET_BYTES} bytes: openssl rand -hex 32")
        if self.environment is not Environment.DEVELOPMENT and secret == DEVELOPMENT_SECRET:
            raise ValueError("set JWT_SECRET outside development: openssl rand -hex 32")
        return self

    @model_validator(mode="after")
    def _check_administrator(self) -> Self:
        if (self.admin_email is None) != (self.admin_password is None):
            raise ValueError("set ADMIN_EMAIL and ADMIN_PASSWORD together, or neither")
        password = self.admin_password.get_secret_value() if self.admin_password else None
        if password is not None and (len(password) < MIN_PASSWORD or len(password.encode()) > MAX_PASSWORD_BYTES):
            raise ValueError(f"ADMIN_PASSWORD needs {MIN_PASSWORD} characters to {MAX_PASSWORD_BYTES} bytes")
        return self
