"""Makes forged tokens that no library would make."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from tests.security.attacked_app import SECRET

PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
HEADER = {"alg": "HS256", "typ": "JWT"}


def segment(value: bytes | Mapping[str, Any] | list[Any]) -> str:
    """Return base64url without padding, of bytes or of JSON (RFC 7515 §2)."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token, without a check."""
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def signed(claims: Mapping[str, Any], *, key: str = SECRET, mac: str = "HS256", **header: Any) -> str:
    """Return a token with a genuine HMAC of any key and any header."""
    content = f"{segment({**HEADER, **header})}.{segment(claims)}"
    return f"{content}.{segment(hmac.digest(key.encode(), content.encode(), HASHES[mac]))}"


class Forger:
    """An attacker with the genuine token of an account."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.claims = claims_of(token)
        self.header, self.payload, self.signature = token.split(".")

    def signed(
        self, *, key: str = SECRET, mac: str = "HS256", header: Mapping[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return the account's token with other claims and a valid signature."""
        return signed({**self.claims, **claims}, key=key, mac=mac, **(header or {}))

    def without(self, name: str) -> str:
        """Return a validly signed token without one claim."""
        return signed({key: value for key, value in self.claims.items() if key != name})

    def unsigned(self, algorithm: str, signature: str = "") -> str:
        """Return a token with the algorithm `none`."""
        return f"{segment({**HEADER, 'alg': algorithm})}.{self.payload}.{signature}"

    def with_header(self, header: bytes) -> str:
        """Return the genuine token with another header."""
        return f"{segment(header)}.{self.payload}.{self.signature}"
