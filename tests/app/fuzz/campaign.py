"""Runs schemathesis against a server as one role, with every check and every phase.

It runs in a process of its own, because schemathesis registers hooks and formats for the whole process. The seed fixes
everything; nothing is stored.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

SEED = 20300131
# What valid input gets in a state that no input can tell: an empty cart, and too few in stock, are 400.
ACCEPTED = ["2xx", "401", "403", "404", "409", "5xx"]
STATES = {"create_order": [*ACCEPTED, "400"], "take_book_stock": [*ACCEPTED, "400"]}


@dataclass(frozen=True, slots=True)
class Account:
    """An account that the campaign may use."""

    id: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Campaign:
    """One server, the accounts on it, and by phase and role the operations that are left out of it."""

    url: str
    accounts: dict[str, Account]
    left_out: Mapping[tuple[str, str], list[str]]
    directory: Path

    def run(self, role: str, phases: str, examples: int) -> subprocess.CompletedProcess[str]:
        """Send everything as `role`, an account's name or "anonymous"; the answer's output ends with a summary."""
        config = self.directory / f"{role}.toml"
        config.write_text(self._config(role, examples))
        program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)]
        command = [*program, "run", f"{self.url}/openapi.json", "--checks", "all", "--phases", phases]
        ids = ",".join(str(account.id) for account in self.accounts.values())
        environment = {**os.environ, "FUZZ_ACCOUNTS": ids, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'backend'}"}
        return subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False)

    def _config(self, role: str, examples: int) -> str:
        lines = [
            'hooks = "tests.app.fuzz.hooks"',
            f"seed = {SEED}",
            "color = false",
            "continue-on-failure = true",
            "warnings = false",
            "cache = { enabled = false }",
            f'generation = {{ max-examples = {examples}, database = "none" }}',
            "auth.auto-signup = false",
            "checks.response_schema_conformance.validate-formats = true",
            "phases.coverage.generate-duplicate-query-parameters = true",
        ]
        if role in self.accounts:
            entries = self.directory / f"{role}.json"
            entries.write_text(json.dumps({"auth": [self._entry(name) for name in self._known_to(role)]}))
            peers = "" if role == "admin" else f", peers = {json.dumps(self._known_to(role))}"
            lines.append(f"auth.wfc = {{ path = {json.dumps(str(entries))}, user = {json.dumps(role)}{peers} }}")
        settings: dict[str, list[str]] = defaultdict(list)
        for operation, statuses in STATES.items():
            settings[operation].append(f"checks.positive_data_acceptance.expected-statuses = {json.dumps(statuses)}")
        for phase in ("coverage", "fuzzing"):
            for operation in self.left_out.get((phase, role), ()):
                settings[operation].append(f"phases.{phase}.enabled = false")
        for operation, switches in settings.items():
            lines += ["[[operations]]", f"include-operation-id = {json.dumps(operation)}", *switches]
        return "\n".join(lines)

    def _known_to(self, role: str) -> list[str]:
        """An administrator sees everything; of the others none may see another's objects."""
        return [role] if role == "admin" else [name for name in self.accounts if name != "admin"]

    def _entry(self, name: str) -> dict[str, object]:
        headers = [{"name": key, "value": value} for key, value in self.accounts[name].headers.items()]
        return {"name": name, "fixedHeaders": headers}
