"""Forged, expired and misused tokens: 401, and nothing happens (OWASP API2)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.core.clock import now, set_clock
from rowhouse.core.settings import DEVELOPMENT_SECRET
from tests.contract.problems import problem
from tests.security.attacked_app import API, AttackedApp
from tests.security.forged_tokens import PUBLIC_KEY, Forger, segment, signed

Forgery = Callable[[Forger], str]
ATTACKERS_KEY = "a-key-that-the-attacker-has-made-and-would-like-to-be-believed"
NONE = ("none", "None", "NONE", "nOnE", "", "null")
NO_INSTANTS: tuple[Any, ...] = (
    "", "soon", True, None, [], {}, 9e99, float("inf"), float("nan"), "9999999999",
)  # fmt: skip
SOMEONE_ELSE = "1"


def instant(**shift: float) -> int:
    """Return the present plus some seconds, as a token has it."""
    return int((now() + timedelta(**shift)).timestamp())


def claiming(**claims: Any) -> Forgery:
    """Return a validly signed token with these claims."""
    return lambda forger: forger.signed(**claims)


def lacking(name: str) -> Forgery:
    """Return a validly signed token without a claim."""
    return lambda forger: forger.without(name)


def unsigned(algorithm: str, *, signature: bool) -> Forgery:
    """Return a token with the algorithm `none`, with the genuine signature or without one."""
    return lambda forger: forger.unsigned(algorithm, forger.signature if signature else "")


ALGORITHMS: dict[str, Forgery] = {
    **{f"alg {name!r}, no signature": unsigned(name, signature=False) for name in NONE},
    **{f"alg {name!r}, its own signature": unsigned(name, signature=True) for name in NONE},
    "HS384 with our key": lambda f: f.signed(mac="HS384", header={"alg": "HS384"}),
    "HS512 with our key": lambda f: f.signed(mac="HS512", header={"alg": "HS512"}),
    "RS256 in name": lambda f: f.signed(header={"alg": "RS256"}),
    "RS256 with a signature": lambda f: f"{f.unsigned('RS256')}{segment(bytes(256))}",
    "EdDSA with a signature": lambda f: f"{f.unsigned('EdDSA')}{segment(bytes(64))}",
    "a public key as the secret": lambda f: f.signed(key=PUBLIC_KEY),
    "no alg at all": lambda f: f.with_header(b'{"typ": "JWT"}'),
    "alg as a list": lambda f: f.with_header(b'{"alg": ["HS256"]}'),
    "alg as null": lambda f: f.with_header(b'{"alg": null}'),
}
KEYS: dict[str, Forgery] = {
    "another key": lambda f: f.signed(key=ATTACKERS_KEY),
    "the key of the development": lambda f: f.signed(key=DEVELOPMENT_SECRET),
    "an empty key": lambda f: f.signed(key=""),
    "another's account": lambda f: f.signed(key=ATTACKERS_KEY, sub=SOMEONE_ELSE),
    "kid that leads to an empty file": lambda f: f.signed(key="", header={"kid": "../../../../dev/null"}),
    "kid that is SQL": lambda f: f.signed(key=ATTACKERS_KEY, header={"kid": f"x' UNION SELECT '{ATTACKERS_KEY}"}),
    "jwk in the header": lambda f: f.signed(
        key=ATTACKERS_KEY, header={"jwk": {"kty": "oct", "k": segment(ATTACKERS_KEY.encode())}}
    ),
    "jku of the attacker's": lambda f: f.signed(key=ATTACKERS_KEY, header={"jku": "https://evil.example/keys.json"}),
    "x5u of the attacker's": lambda f: f.signed(key=ATTACKERS_KEY, header={"x5u": "https://evil.example/c.pem"}),
    "x5c of the attacker's": lambda f: f.signed(key=ATTACKERS_KEY, header={"x5c": [segment(PUBLIC_KEY.encode())]}),
}
TIMES: dict[str, Forgery] = {
    "expired": lambda f: f.signed(exp=instant(seconds=-1)),
    "expired long ago": lambda f: f.signed(iat=instant(days=-9), nbf=instant(days=-9), exp=instant(days=-8)),
    "not yet valid": lambda f: f.signed(nbf=instant(minutes=1)),
    "issued in the future": lambda f: f.signed(iat=instant(minutes=1)),
    **{f"{name} is {value!r}": claiming(**{name: value}) for name in ("iat", "nbf", "exp") for value in NO_INSTANTS},
}
CLAIMS: dict[str, Forgery] = {
    **{f"no {name}": lacking(name) for name in ("iss", "typ", "iat", "nbf", "exp", "sub", "ver")},
    **{f"typ {kind!r}": claiming(typ=kind) for kind in ("refresh", "cursor", "Access", "", None, ["access"])},
    **{f"iss {name!r}": claiming(iss=name) for name in ("someone", "", None, ["rowhouse"])},
    **{f"ver {value!r}": claiming(ver=value) for value in (7, -1, "0", None, [0])},
}
SUBJECTS: tuple[Any, ...] = (
    "", "me", "-1", "0", "01", "1.0", "1e0", " 1", "1\n", "+1", "0x1", "\uff11", "\u0661", "1 OR 1=1", "1' --", "2147483647", "2147483648",
    "9" * 5000, 1, -1, 1.0, True, None, [], ["1"], {"$ne": 0}, "1\x00",
)  # fmt: skip
SHAPES: dict[str, Forgery] = {
    "tampered payload": lambda f: f"{f.header}.{segment({**f.claims, 'sub': SOMEONE_ELSE})}.{f.signature}",
    "tampered signature": lambda f: f.token[:-2] + ("AA" if f.token[-2:] != "AA" else "BA"),
    "truncated signature": lambda f: f.token[:-6],
    "no signature": lambda f: f"{f.header}.{f.payload}.",
    "two parts": lambda f: f"{f.header}.{f.payload}",
    "four parts": lambda f: f"{f.token}.{f.signature}",
    "five parts, as if encrypted": lambda f: f"{f.token}.{f.payload}.{f.signature}",
    "a blank within": lambda f: f.token.replace(".", " .", 1),
    "two tokens": lambda f: f"{f.token},{f.token}",
    "in quotes": lambda f: f'"{f.token}"',
    "no JSON": lambda f: f.with_header(b"header"),
    "no object": lambda f: f.with_header(b'["HS256"]'),
    "no UTF-8": lambda f: f.with_header(b'{"alg": "\xff"}'),
    "a header without a bottom": lambda f: f.with_header(b'{"alg":' + b"[" * 30_000),
    "a number without an end": lambda f: f.with_header(b'{"alg": ' + b"9" * 9_000 + b"}"),
    "critical words that nobody knows": lambda f: f.signed(header={"crit": ["exp2"], "exp2": 1}, key=ATTACKERS_KEY),
    "a payload that is elsewhere": lambda f: f.signed(header={"b64": False, "crit": ["b64"]}),
    "claims that are no object": lambda f: signed(["access"]),  # type: ignore[arg-type]  # what no library would make
    "dots": lambda _f: "..",
    "very long": lambda f: f.token + "A" * 60_000,
    "the refresh token of all fours": lambda _f: "0" * 43,
}  # fmt: skip
FORGERIES = {**ALGORITHMS, **KEYS, **TIMES, **CLAIMS, **SHAPES} | {
    f"sub {str(subject)[:20]!r} {type(subject).__name__}": claiming(sub=subject) for subject in SUBJECTS
}


@pytest.fixture(scope="module")
def forger(attacked: AttackedApp) -> Forger:
    """An attacker with an account."""
    return Forger(attacked.token(attacked.stranger))


def refused(attacked: AttackedApp, authorization: str | bytes) -> None:
    """Require 401 without a reason from hand-written and generated routes, also from public ones."""
    headers: Any = [(b"authorization", authorization if isinstance(authorization, bytes) else authorization.encode())]
    for method, path in (("GET", "/users/me"), ("GET", "/vehicles"), ("GET", "/books"), ("POST", "/categories")):
        body = {"name": "forged"} if method == "POST" else None
        answer = attacked.client.request(method, f"{API}{path}", headers=headers, json=body)
        told = problem(answer, 401, "not_authenticated")
        assert not any(word in told["detail"].lower() for word in ("signature", "algorithm", "claim", "subject"))


def test_the_genuine_token_holds(attacked: AttackedApp, forger: Forger) -> None:
    """So the rejections below mean something. A token that is signed with our key and unchanged is valid too."""
    for token in (forger.token, forger.signed()):
        answer = attacked.client.get(f"{API}/users/me", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, str(answer.json()["id"])) == (200, forger.claims["sub"])


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_is_401(attacked: AttackedApp, forger: Forger, name: str) -> None:
    """Whatever it claims, on hand-written and generated routes. Nothing is stored."""
    with attacked.unchanged():
        refused(attacked, f"Bearer {FORGERIES[name](forger)}")


@pytest.mark.parametrize("subject", [2**31 - 1, 2**31, 9_999_999_999, 2**63])
def test_no_subject_is_too_large_for_a_key(client: TestClient, app: FastAPI, subject: int) -> None:
    """An impossible account is 401 on both databases."""
    key = app.state.settings.jwt_secret.get_secret_value()
    claims = {"sub": str(subject), "ver": 0, "iss": "rowhouse", "typ": "access"}
    times = {"iat": instant(), "nbf": instant(), "exp": instant(minutes=1)}
    headers = {"Authorization": f"Bearer {signed({**claims, **times}, key=key)}"}
    for path in ("/users/me", "/vehicles"):
        problem(client.get(f"{API}{path}", headers=headers), 401, "not_authenticated")


def test_another_token_of_ours_is_401(attacked: AttackedApp) -> None:
    """A cursor has the same key, and a refresh token comes in the same response. Neither signs anybody in."""
    for _ in range(2):
        attacked.running_app.entity("categories").make_plain()
    refused(attacked, f"Bearer {attacked.running_app.entity('categories').list(size=1)['next_cursor']}")
    account = {"username": "admin@example.com", "password": "admin-password"}
    pair = attacked.client.post(f"{API}/auth/login", data=account).json()
    refused(attacked, f"Bearer {pair['refresh_token']}")


def test_no_other_role_is_to_be_had_by_a_claim(attacked: AttackedApp, forger: Forger) -> None:
    """Not even with a valid signature: the role is read from the database."""
    token = forger.signed(role="admin", is_admin=True, scope="admin", roles=["admin"], admin=1)
    headers = {"Authorization": f"Bearer {token}"}
    with attacked.unchanged():
        problem(attacked.client.get(f"{API}/users", headers=headers), 403, "permission_denied")
        problem(
            attacked.client.post(f"{API}/categories", json={"name": "x"}, headers=headers), 403, "permission_denied"
        )
    assert attacked.client.get(f"{API}/users/me", headers=headers).json()["role"] == "driver"


def test_a_token_holds_to_the_second(attacked: AttackedApp, forger: Forger) -> None:
    """From its beginning to its end, by the application's clock."""
    start, end = (datetime.fromtimestamp(forger.claims[name], UTC) for name in ("nbf", "exp"))
    tick = timedelta(microseconds=1)
    for moment, status in ((start - tick, 401), (start, 200), (end - tick, 200), (end, 401)):
        with set_clock(partial(moment.replace)):
            answer = attacked.client.get(f"{API}/users/me", headers=attacked.stranger)
        assert answer.status_code == status, moment


MALFORMED: tuple[bytes, ...] = (
    b"", b" ", b"Bearer", b"Bearer ", b"bearer\t", b"Basic %s", b"Token %s", b"JWT %s", b"Bearer: %s", b"Bearer=%s", b"%s", b"Bearer%s",
    b"Bearer Bearer %s", b"Bearer %s x", b"Bearer x %s", b"Bearer %s, Bearer %s", b"Bearer %s\x00", b"Bearer \x00%s", b"\x00Bearer %s",
    b"Bearer \xc3\xa4\xff\xfe", b"Bearer \xed\xa0\x80", b"Bearer %s\xff", b"B\xc3\xa9arer %s", b"Negotiate %s", b"Bearer\xa0%s",
    b"Bearer " + b"x" * 100_000, b"x" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("malformed", MALFORMED, ids=lambda value: repr(value[:25]))
def test_a_malformed_header_is_401(attacked: AttackedApp, malformed: bytes) -> None:
    """Also if it contains a valid token, however long or strange it is."""
    refused(attacked, malformed.replace(b"%s", attacked.token(attacked.admin).encode()))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "])
def test_the_scheme_is_taken_in_any_case(attacked: AttackedApp, scheme: str) -> None:
    """RFC 9110 §11.1."""
    headers = {"Authorization": f"{scheme} {attacked.token(attacked.stranger)}"}
    assert attacked.client.get(f"{API}/users/me", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/users/me", "/vehicles", "/books"])
def test_of_two_headers_neither_is_taken(attacked: AttackedApp, path: str) -> None:
    """A proxy may have checked one, and the route would read the other."""
    good, bad = (b"authorization", attacked.admin["Authorization"].encode()), (b"authorization", b"Bearer x")
    for pair in ([good, bad], [bad, good], [good, good]):
        problem(attacked.client.get(f"{API}{path}", headers=pair), 401, "not_authenticated")


@pytest.mark.parametrize("path", ["/users/me", "/vehicles"])
def test_a_token_is_taken_from_nowhere_else(attacked: AttackedApp, path: str) -> None:
    """Not from the query, a cookie, another header or a body. Queries end up in logs, and other sites can send cookies."""
    token = attacked.token(attacked.stranger)
    for name in ("access_token", "token", "authorization", "Authorization"):
        answer = attacked.client.get(f"{API}{path}", params={name: token})
        assert answer.status_code in (401, 422)
        assert token not in answer.text
        for header in (f"{name}={token}", f"{name}=Bearer {token}"):
            problem(attacked.client.get(f"{API}{path}", headers={"Cookie": header}), 401, "not_authenticated")
    for name in ("X-Authorization", "Proxy-Authorization", "X-Access-Token", "X-Forwarded-Authorization"):
        problem(attacked.client.get(f"{API}{path}", headers={name: f"Bearer {token}"}), 401, "not_authenticated")
    problem(attacked.client.request("GET", f"{API}{path}", data={"access_token": token}), 401, "not_authenticated")
