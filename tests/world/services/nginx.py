"""nginx in front of application servers, under a prefix that it strips or passes on."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.world.services.process import (
    HOST,
    Program,
    find_program,
    free_port,
    is_listening,
    ordinary_account,
    own_directory,
    start,
    wait_until,
)

# As documentation of servers behind nginx has it. A request that is no GET is not sent a second time, unless nothing
# was sent.
SITE = """
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log {directory}/access.log;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 64m;
    upstream rowhouse {{
        {servers}
    }}
    server {{
        listen {host}:{port};
        location {location} {{
            proxy_pass http://rowhouse{target};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto {scheme};
            {more}
        }}
    }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One running nginx."""

    port: int
    directory: Path
    program: Program

    @property
    def url(self) -> str:
        """Where it listens, without the prefix."""
        return f"http://{HOST}:{self.port}"

    def errors(self) -> str:
        """Its log of errors."""
        return (self.directory / "error.log").read_text()


@contextmanager
def nginx(
    ports: Sequence[int], *, prefix: str = "", strips: bool = False, scheme: str = "$scheme", more: str = ""
) -> Iterator[Proxy]:
    """An nginx that serves what listens at the ports, below `prefix`; `more` are further lines of its location."""
    with own_directory() as directory:
        port = free_port()
        text = SITE.format(
            directory=directory, host=HOST, port=port, scheme=scheme, more=more,
            servers=" ".join(f"server {HOST}:{each} max_fails=0;" for each in ports),
            location=f"{prefix}/", target="/" if strips else "",
        )  # fmt: skip
        file = directory / "nginx.conf"
        file.write_text(text)
        (directory / "error.log").touch()
        (directory / "error.log").chmod(0o666)
        command = [find_program("nginx"), "-c", str(file), "-p", str(directory), "-e", str(directory / "error.log")]
        running = start(command, log=directory / "log", cwd=directory, **ordinary_account())
        try:
            wait_until(lambda: is_listening(port), running)
            yield Proxy(port=port, directory=directory, program=running)
        finally:
            running.stop(signal.SIGQUIT)
