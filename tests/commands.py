"""Lists the commands of the README and the guides, and the test that runs each of them.

A command is a line of a fenced `sh` or `bash` block whose lines are all commands of this repository, or otherwise a
whole block (a walk with variables), or a command in backquotes. `tests/app/test_commands.py` fails for a command
without an entry. If a test runs something else instead, the entry says what and why.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
ANY_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
BETWEEN_BACKQUOTES = re.compile(r"`([^`\n]+)`")
ASSIGNMENTS = r"(?:[A-Z_]+=(?:'[^']*'|\"[^\"]*\"|\S*)\s+)*"
OURS = r"(?:scripts/[\w-]+|\.venv/bin/\w+|\.ci/run|python3? -m [\w.]+|export\b)"
OTHERS = r"(?:python3?|pip|npm|npx|node|curl|openssl|alembic|uvicorn|gunicorn|git|docker|psql|pg_dump|pg_restore|sqlite3|locust|systemctl)"
OUR_LINE = re.compile(rf"{ASSIGNMENTS}{OURS}(?:\s|$)")
A_COMMAND = re.compile(rf"{ASSIGNMENTS}(?:{OURS}|{OTHERS} \S)")
REMARK = re.compile(r"\s+# .*$")


@dataclass(frozen=True)
class Command:
    """One command, and the page where it stands."""

    page: Path
    text: str

    @property
    def key(self) -> str:
        """Its name in the tables: the line itself, or of a longer block the page and its first line."""
        lines = self.text.splitlines()
        return self.text if len(lines) == 1 else f"{self.page.name}: {lines[0]}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a command is run: as it stands, or `instead` for the reason `because`.

    What its exit status is and what it says.
    """

    instead: str = ""
    because: str = ""
    status: int = 0
    says: str = ""


def commands() -> list[Command]:
    """Every command of every page, each once."""
    return list(dict.fromkeys(command for page in PAGES for command in commands_of(page, page.read_text())))


def commands_of(page: Path, text: str) -> Iterator[Command]:
    """The commands of one page."""
    for block in BLOCK.findall(text):
        lines = [REMARK.sub("", line) for line in block.strip().splitlines() if not line.startswith("#")]
        if all(OUR_LINE.match(line) for line in lines if line):
            yield from (Command(page, line) for line in lines if line)
        else:
            yield Command(page, block.strip())
    for span in BETWEEN_BACKQUOTES.findall(ANY_BLOCK.sub("", text)):
        if A_COMMAND.match(span):
            yield Command(page, span)


MINUTES = "it takes minutes to hours; the same with few rows"
AGAIN = "the same command is run from another page"
DEMO = "README.md: curl -s 'http://127.0.0.1:8000/api/v1/books?search=werther&sort=-price&size=5'"

TYPESCRIPT = "tests/world/test_clients.py::test_the_typescript_client_of_the_guide"
PYTHON = "tests/world/test_clients.py::test_the_python_client_of_the_guide"

PRODUCTION = "tests/world/test_operating.py::test_production_starts_in_two_steps_and_is_restored"

TUTORIAL = "tests/world/test_new_project.py::test_the_tutorial_works_as_written"
UPGRADE = "tests/world/test_new_project.py::test_it_is_upgraded"

DAY = "tests/app/world/test_developers_day.py::test_the_developers_day"
BY_HAND = "tests/world/test_migrations_page.py::test_migrations_by_hand"

# Run one by one, in a clone, by tests/app/test_commands.py.
ON_A_BARE_MACHINE = {
    "scripts/test tests/contract": Run(
        instead="scripts/test tests/core/test_clock.py", because=".ci/run runs all of them", says="passed"
    ),
    "scripts/test tests/security": Run(
        instead="scripts/test tests/security --version", because=".ci/run runs all of them", says=r"^pytest \d"
    ),
    "openssl rand -hex 32": Run(says=r"^[0-9a-f]{64}$"),
    "pip install -r scripts/requirements/redis.txt": Run(
        instead=".venv/bin/pip install -r scripts/requirements/redis.txt",
        because="`.venv` is named beside it",
        says="redis",
    ),
    "scripts/docs": Run(says="Built site/index.html"),
    "export TMPDIR=/dev/shm": Run(),
}

# The same, by tests/world/test_commands.py: too long, or too much for a bare machine.
IN_THE_WORLD = {
    "scripts/perf --rows 1000000 --users 100 --seconds 180": Run(
        instead="scripts/perf --rows 200 --users 2 --seconds 2", because=MINUTES, status=1, says="operations|endpoints"
    ),
    "TMPDIR=/dev/shm scripts/perf --rows 1000000 --users 100 --seconds 180": Run(
        instead="TMPDIR=/dev/shm scripts/perf --help", because=AGAIN, says="--rows"
    ),
    "TMPDIR=/dev/shm scripts/perf …": Run(
        instead="TMPDIR=/dev/shm scripts/perf --help", because="the dots stand for any options", says="--rows"
    ),
    "scripts/perf capacity --rows 1000000": Run(
        instead="scripts/perf capacity --help", because="it climbs until an endpoint breaks", says="capacity"
    ),
    "scripts/perf capacity --users 10": Run(
        instead="scripts/perf capacity --help", because="it climbs until an endpoint breaks", says="capacity"
    ),
    "FAULT='slow GET /categories/' scripts/perf --factory perf.app.fault_injection_app:create_app --rows 1000 --users 50 --seconds 60": Run(
        instead="FAULT='slow GET /categories/' scripts/perf --factory perf.app.fault_injection_app:create_app --rows 200 --users 2 --seconds 2",
        because=MINUTES, status=1, says="endpoints",
    ),
    "FAULT='fail GET /categories'  scripts/perf --factory perf.app.fault_injection_app:create_app --rows 1000 --users 50 --seconds 60": Run(
        instead="FAULT='fail GET /categories'  scripts/perf --factory perf.app.fault_injection_app:create_app --rows 200 --users 2 --seconds 2",
        because=MINUTES, status=1, says="endpoints",
    ),
    "scripts/perf --rows 1000 --users 1 --seconds 1": Run(status=1, says="never"),
    ".venv/bin/python -m perf.bench --rounds 3": Run(
        instead=".venv/bin/python -m perf.bench --rounds 1 --books 4000 --requests 20 --warm-up 5 --connections 2",
        because=MINUTES, says="fastcrud",
    ),
    "python -m perf.bench --rounds 3 --json bench.json": Run(
        instead="python -m perf.bench --rounds 1 --books 4000 --requests 20 --warm-up 5 --connections 2 --apps rowhouse --json bench.json",
        because=MINUTES, says="rowhouse",
    ),
    "python -m perf.bench --apps rowhouse,without-metrics --rounds 9 --requests 700 --books 4000": Run(
        instead="python -m perf.bench --apps rowhouse,without-metrics --rounds 1 --requests 12 --books 4000 --warm-up 1 --connections 2",
        because=MINUTES, says="without-metrics",
    ),
    "python -m perf.bench --rounds 3 --apps textbook,fastcrud,litestar,django-bolt,floor,rowhouse,rowhouse-sqlite --pocketbase": Run(
        instead="python -m perf.bench --help", because=MINUTES, says="litestar"
    ),
    "python -m perf.arena": Run(
        instead="python -m perf.arena --rounds 1 --requests 40 --connections 4 --rows 50000", because=MINUTES, says="fastapi"
    ),
    "scripts/perf-compare main": Run(
        instead=".venv/bin/python -m perf.compare --help", because="it measures for minutes, and a clone may have no main",
        says="--rounds",
    ),
    "scripts/perf-compare BASE": Run(
        instead=".venv/bin/python -m perf.compare --help", because="BASE stands for a revision", says="--rounds"
    ),
    "scripts/perf-compare HEAD": Run(
        instead=".venv/bin/python -m perf.compare --help", because="it measures for minutes", says="--rounds"
    ),
    ".venv/bin/python -m perf.admin_pages --rows 1000000": Run(
        instead=".venv/bin/python -m perf.admin_pages --help", because=MINUTES, says="--rounds"
    ),
    "python -m perf.admin_pages --rows 1000000 --database postgresql": Run(
        instead="python -m perf.admin_pages --help", because=MINUTES, says="--rounds"
    ),
    ".venv/bin/python -m perf.screenshots": Run(
        instead=".venv/bin/python -m perf.screenshots --help", because="it would replace the pictures of README",
        says="--report",
    ),
    ".venv/bin/python -m perf.first_page": Run(
        instead=".venv/bin/python -m perf.first_page --rounds 1", because=MINUTES, says="| sqlite | /api/v1/books |"
    ),
    ".venv/bin/python -m perf.start --rounds 3": Run(
        instead=".venv/bin/python -m perf.start --rounds 1 --entities 2", because=MINUTES, says="rowhouse"
    ),
    ".venv/bin/python -m perf.burst --requests 200": Run(
        instead=".venv/bin/python -m perf.burst --requests 200 --bursts 1 --books 200 --apps rowhouse",
        because="the others stall for minutes, which is what it shows", says="rowhouse",
    ),
    ".venv/bin/python -m perf.cursor --rows 1000000": Run(
        instead=".venv/bin/python -m perf.cursor --rows 2000 --rounds 1 --requests 2", because=MINUTES, says="row 10"
    ),
    "python -m perf.cursor --rows 1000000 --database postgresql --rounds 3 --requests 60": Run(
        instead="python -m perf.cursor --rows 1000 --database postgresql --rounds 1 --requests 2", because=MINUTES, says="row 10"
    ),
    ".venv/bin/python -m perf.transfer --rows 1000000": Run(
        instead=".venv/bin/python -m perf.transfer --rows 2000 --imported 200", because=MINUTES, says="csv|CSV"
    ),
    "python -m perf.transfer --rows 1000000 --database postgresql": Run(
        instead="python -m perf.transfer --rows 2000 --imported 200 --database postgresql", because=MINUTES, says="csv|CSV"
    ),
    ".venv/bin/python -m perf.growth --rows 10000,1000000": Run(
        instead=".venv/bin/python -m perf.growth --rows 200 --rounds 1 --requests 1", because=MINUTES, says="get one"
    ),
    ".venv/bin/python -m perf.growth --rows 10000,1000000,5000000 --database postgresql": Run(
        instead=".venv/bin/python -m perf.growth --rows 200 --rounds 1 --requests 1 --database postgresql",
        because=MINUTES, says="get one",
    ),
    ".venv/bin/python -m perf.search --rows 1000000": Run(
        instead=".venv/bin/python -m perf.search --rows 200 --rounds 1", because=MINUTES, says="median"
    ),
    "python -m perf.search --rows 1000000 --database postgresql": Run(
        instead="python -m perf.search --rows 200 --rounds 1 --database postgresql", because=MINUTES, says="median"
    ),
    ".venv/bin/python -m perf.batches": Run(
        instead=".venv/bin/python -m perf.batches --requests 2", because=MINUTES, says="batch"
    ),
    ".venv/bin/python -m perf.pooler": Run(
        instead=".venv/bin/python -m perf.pooler --rounds 1 --books 200 --requests 20 --warm-up 5 --connections 2",
        because=MINUTES, says="PgBouncer, ms",
    ),
    ".venv/bin/python -m perf.index_build --rows 1000000": Run(
        instead=".venv/bin/python -m perf.index_build --rows 2000", because=MINUTES, says="CONCURRENTLY"
    ),
    "TMPDIR=/dev/shm .venv/bin/python -m perf.index_build --rows 1000000": Run(
        instead="TMPDIR=/dev/shm .venv/bin/python -m perf.index_build --help", because=AGAIN, says="--writers"
    ),
    "python -m perf.pooler": Run(instead="python -m perf.pooler --help", because=AGAIN, says="--pgbouncer"),
    "python -m perf.batches": Run(instead="python -m perf.batches --help", because=AGAIN, says="--requests"),
}  # fmt: skip

# Run as it stands by the test that is named.
BY_A_TEST_OF_ITS_OWN = {
    "developing.md: rowhouse new shop && cd shop": "tests/cli/test_adopt.py::test_everything_is_read",
    "scripts/run": "tests/app/test_commands.py::test_the_first_start_and_the_second",
    DEMO: "tests/app/test_commands.py::test_the_calls_of_the_readme",
    "scripts/create-admin --email boss@example.com": "tests/app/test_commands.py::test_an_administrator_is_made",
    "scripts/migrate": DAY,
    'scripts/migrate "what changed"': "tests/app/test_commands.py::test_the_entity_of_the_readme",
    'scripts/migrate "call it since" --rename publishers.founded=since': DAY,
    'scripts/migrate "split city" --empty': DAY,
    'scripts/migrate "a country is needed"': DAY,
    'scripts/migrate "no more cities" --drop publishers.city': DAY,
    "python -m alembic current": BY_HAND,
    "python -m alembic history": BY_HAND,
    "python -m alembic upgrade heads --sql > migrations.sql": BY_HAND,
    "python -m alembic upgrade 0001:0002 --sql > newer.sql": BY_HAND,
    'psql --set ON_ERROR_STOP=1 --file migrations.sql "$OWNER_URL"': BY_HAND,
    "python -m alembic downgrade project@-1": BY_HAND,
    'curl -H "Authorization: Bearer $TOKEN" "$API/books/export?format=csv&category_id=3&sort=-price" --remote-header-name -O': (
        "tests/app/test_commands.py::test_the_files_of_the_guide"
    ),
    'curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: text/csv" --data-binary @books.csv "$API/books/import"': (
        "tests/app/test_commands.py::test_the_files_of_the_guide"
    ),
    "DATABASE_URL=postgresql+psycopg://user:password@host/name scripts/run": (
        "tests/world/test_run.py::test_it_starts_on_an_empty_postgresql_twice"
    ),
    ".venv/bin/locust -f perf/locustfile.py": "tests/world/test_commands.py::test_locust_has_its_page",
    ".venv/bin/locust -f perf/locustfile.py --host http://127.0.0.1:8000": (
        "tests/world/test_commands.py::test_locust_has_its_page"
    ),
    "guide.md: npm install openapi-fetch@0.17.0 openapi-typescript@7.13.0 typescript@5.9.3": TYPESCRIPT,
    "guide.md: npx tsc --strict --target es2022 --module nodenext --outDir dist shop.ts": TYPESCRIPT,
    "guide.md: python3 -m venv .venv && . .venv/bin/activate": PYTHON,
    "PYTHONPATH=client python shop.py": PYTHON,
    "ENVIRONMENT=production DATABASE_URL=$OWNER_URL scripts/migrate": PRODUCTION,
    "scripts/serve --workers 4": PRODUCTION,
    'pg_dump --format=custom --file=backup.dump "$OWNER_URL"': PRODUCTION,
    'pg_restore --clean --if-exists --dbname="$OWNER_URL" backup.dump': PRODUCTION,
    "alembic upgrade heads": "tests/world/test_poolers.py::test_migrations_go_through_a_pooler",
    "uvicorn app.main:create_app --factory --root-path /shop": (
        "tests/core/test_prefix.py::test_uvicorn_serves_below_a_root_path"
    ),
    "uvicorn app.main:create_app --factory": "tests/world/test_proxies.py::test_two_servers_are_one",
    "python -m alembic upgrade heads --sql": "tests/world/test_operating.py::test_the_sql_of_the_migrations_makes_the_tables",
    "operating.md: sqlite3 data/rowhouse.db \"VACUUM INTO 'backup.db'\"": (
        "tests/world/test_operating.py::test_a_sqlite_file_is_backed_up_while_it_is_served"
    ),
    ".venv/bin/python -m pip install --upgrade rowhouse-api": UPGRADE,
    ".venv/bin/rowhouse migrate": UPGRADE,
    ".venv/bin/rowhouse check": UPGRADE,
    "tutorial.md: python3 -m venv tools/.venv": "tests/world/test_new_project.py::test_a_new_project_passes_its_tests_at_once",
    "tutorial.md: .venv/bin/rowhouse entity Tool 'name:str!' price_per_day:decimal=2.50 \\": TUTORIAL,
    "ADMIN_PASSWORD=correct-horse .venv/bin/rowhouse create-admin --email you@example.com": TUTORIAL,
    "tutorial.md: API=http://127.0.0.1:8000/api/v1": TUTORIAL,
    ".venv/bin/rowhouse routes": TUTORIAL,
    ".venv/bin/rowhouse load --quick --users 10": "tests/world/test_new_project.py::test_its_load_run_calls_every_operation",
    "rowhouse load": "tests/world/test_new_project.py::test_its_load_run_calls_every_operation",
    "guide.md: API=http://127.0.0.1:8000/api/v1": "tests/app/test_guide.py::test_the_walk_works_as_written",
}

# Run as they stand by .ci/run.
BY_CI = {"scripts/check", "scripts/test", "scripts/test-world"}

# Named, but not to be typed: for example a program's name with one of its options.
NAMED_ONLY = {
    "scripts/perf": "it stands with its options in the block above",
    "scripts/serve": "it stands with its options in docs/operating.md",
    "scripts/create-admin": "it stands with its options in the README",
}
