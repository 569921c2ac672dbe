"""The files of docs/deploy agree with each other, and the settings accept their environment.

No container is started here. tests/world/test_deploy.py runs the steps of the image.
"""

import re
import shlex
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # has no types
from sqlalchemy import make_url

from rowhouse.core.settings import Environment, Settings
from tests.conftest import ROOT

DEPLOY = ROOT / "docs/deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
IMAGE = re.sub(r"\\\n\s*", "", (DEPLOY / "Containerfile").read_text("utf-8"))
DOT_ENV = {"POSTGRES_PASSWORD": "0123abcd" * 4, "JWT_SECRET": "4567cdef" * 8, "DOMAIN": "shop.example"}
VARIABLE = re.compile(r"\$\{(\w+)(?::[-?][^}]*)?\}")
# What is no setting: read by Python, the shell, and `rowhouse run`.
NO_SETTINGS = {"PATH", "PYTHONUNBUFFERED", "HOST", "PORT", "FORWARDED_ALLOW_IPS"}
SERVERS = ("server-1", "server-2")


def image_environment() -> dict[str, str]:
    """The variables of the image."""
    (line,) = re.findall(r"^ENV (.*)$", IMAGE, re.MULTILINE)
    return dict(word.split("=", 1) for word in shlex.split(line))


def environment(service: str) -> dict[str, str]:
    """The variables of a service, with those of `.env` in place."""
    given: dict[str, str] = SERVICES[service]["environment"]
    return {name: VARIABLE.sub(lambda found: DOT_ENV[found[1]], value) for name, value in given.items()}


@pytest.mark.parametrize(
    ("service", "database"), [*((server, "pgbouncer") for server in SERVERS), ("migrate", "postgres")]
)
def test_the_settings_accept_the_environment(service: str, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable is a setting. Servers use the pooler, the migration the database; each host is a service."""
    variables = {**image_environment(), **environment(service)}
    assert {name.lower() for name in variables.keys() - NO_SETTINGS} <= Settings.model_fields.keys()
    for name in variables.keys() - NO_SETTINGS:
        monkeypatch.setenv(name, variables[name])
    settings = Settings()
    assert settings.environment is Environment.PRODUCTION
    hosts = {url: make_url(url).host for url in (settings.database_url, settings.rate_limit_storage_url)}
    assert list(hosts.values()) == [database, "valkey"]
    assert set(hosts.values()) <= SERVICES.keys()
    assert make_url(settings.database_url).password == DOT_ENV["POSTGRES_PASSWORD"]


def test_the_proxy_is_believed_and_finds_the_servers() -> None:
    """By its address, and at the port of the image."""
    port = image_environment()["PORT"]
    address = SERVICES["caddy"]["networks"]["inside"]["ipv4_address"]
    proxied = [line for line in (DEPLOY / "Caddyfile").read_text("utf-8").splitlines() if "reverse_proxy" in line]
    assert re.findall(r"[\w-]+:\d+", proxied[0]) == [f"{server}:{port}" for server in SERVERS]
    assert {environment(server)["FORWARDED_ALLOW_IPS"] for server in SERVERS} == {address}
    assert f"EXPOSE {port}\n" in IMAGE


def test_a_stop_has_the_time_that_it_needs() -> None:
    """Draining and the end of running requests, in a container and under systemd."""
    shutdown = Settings.model_fields["shutdown_seconds"].default
    unit = (DEPLOY / "shop.service").read_text("utf-8")
    (drain,) = re.findall(r"DRAIN_SECONDS=(\d+)", unit)
    (timeout,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(timeout) > int(drain) + shutdown
    for server in SERVERS:
        grace = int(SERVICES[server]["stop_grace_period"].removesuffix("s"))
        assert grace > int(image_environment()["DRAIN_SECONDS"]) + shutdown
