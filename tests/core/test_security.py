"""Valid and invalid tokens, password hashes, and the `Authorization` header."""

import base64
import json
from datetime import timedelta
from typing import Any

import bcrypt
import jwt
import pytest

from rowhouse.core.clock import now, set_clock
from rowhouse.core.errors import NotAuthenticatedError
from rowhouse.core.security import (
    bearer_token,
    cost_of,
    decode_token,
    encode_token,
    fingerprint,
    hash_password,
    new_opaque_token,
    sign,
    verify,
    verify_and_hash,
    verify_password,
)

SECRET, OTHER_SECRET = "s" * 64, "t" * 64
HOUR = timedelta(hours=1)
CLAIMS = ("iss", "typ", "iat", "nbf", "exp", "sub")


def token(*, kind: str = "access", secret: str = SECRET, lifetime: timedelta = HOUR, **claims: Any) -> str:
    """Return a genuine token, with these changes."""
    return encode_token({"sub": "7", **claims}, kind=kind, secret=secret, lifetime=lifetime)


def signed(algorithm: str = "HS256", *, leave_out: str = "", **changes: Any) -> str:
    """Return a token with the right signature and unusual claims."""
    claims = {**jwt.decode(token(), options={"verify_signature": False}), **changes}
    claims.pop(leave_out, None)
    return jwt.encode(claims, SECRET if algorithm != "none" else None, algorithm=algorithm)


def shifted(offset: timedelta) -> str:
    """Return a token that was made while the clock was wrong by `shift`."""
    present = now()
    with set_clock(lambda: present + offset):
        return token()


def tampered() -> str:
    """Return a genuine token whose subject was changed afterwards."""
    header, claims, signature = token().split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**decoded, "sub": "1"}).encode()).decode().rstrip("=")
    return f"{header}.{forged}.{signature}"


def test_a_genuine_token_holds() -> None:
    """Its claims are returned, with the standard ones."""
    claims = decode_token(token(ver=3), kind="access", secret=SECRET)
    assert (claims["sub"], claims["ver"], claims["typ"]) == ("7", 3, "access")
    assert set(CLAIMS) <= claims.keys()
    assert claims["exp"] - claims["iat"] == HOUR.total_seconds()


def test_no_claim_of_ours_can_be_set_from_outside() -> None:
    """The standard ones win."""
    claims = decode_token(token(iss="someone", exp=0), kind="access", secret=SECRET)
    assert claims["iss"] == "rowhouse"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda: token(secret=OTHER_SECRET), id="wrong key"),
        pytest.param(lambda: token(kind="refresh"), id="wrong kind"),
        pytest.param(lambda: signed("none"), id="no signature"),
        pytest.param(lambda: signed("HS512"), id="another algorithm"),
        pytest.param(tampered, id="tampered"),
        pytest.param(lambda: token()[:-2], id="cut off"),
        pytest.param(lambda: token(lifetime=-HOUR), id="expired"),
        pytest.param(lambda: shifted(-2 * HOUR), id="expired long ago"),
        pytest.param(lambda: shifted(HOUR), id="not yet valid"),
        pytest.param(lambda: signed(iss="someone else"), id="another issuer"),
        pytest.param(lambda: signed(sub=7), id="a number for a subject"),
        pytest.param(lambda: signed(exp="soon"), id="no instant"),
        pytest.param(lambda: "", id="nothing"),
        pytest.param(lambda: "a.b.c", id="no token"),
        pytest.param(lambda: "ä.ö.ü", id="no ASCII"),
        *(pytest.param(lambda name=name: signed(leave_out=name), id=f"without {name}") for name in CLAIMS),
    ],
)
def test_any_other_token_does_not(bad: Any) -> None:
    """401, without the reason."""
    with pytest.raises(NotAuthenticatedError) as refused:
        decode_token(bad(), kind="access", secret=SECRET)
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"
    assert not any(word in refused.value.detail for word in ("signature", "algorithm", "claim"))


def test_a_token_that_held_once_holds_no_longer_than_it_says() -> None:
    """It is cached, but its end is checked each time. It is not valid for another key or with other claims."""
    given, late = token(), now() + HOUR
    decode_token(given, kind="access", secret=SECRET)["sub"] = "1"
    assert decode_token(given, kind="access", secret=SECRET)["sub"] == "7"
    with set_clock(lambda: late), pytest.raises(NotAuthenticatedError):
        decode_token(given, kind="access", secret=SECRET)
    for kind, secret in (("refresh", SECRET), ("access", OTHER_SECRET)):
        with pytest.raises(NotAuthenticatedError):
            decode_token(given, kind=kind, secret=secret)


def test_a_token_without_an_expiry_is_for_one_purpose() -> None:
    """It is valid for its kind and its key only, and never signs anybody in."""
    given = sign({"sub": "7"}, kind="cursor", secret=SECRET)
    assert verify(given, kind="cursor", secret=SECRET)["sub"] == "7"
    for kind, secret in (("access", SECRET), ("cursor", OTHER_SECRET)):
        with pytest.raises(NotAuthenticatedError):
            verify(given, kind=kind, secret=secret)
    with pytest.raises(NotAuthenticatedError):
        decode_token(sign({"sub": "7"}, kind="access", secret=SECRET), kind="access", secret=SECRET)


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER  abc "])
def test_a_bearer_token_is_found(header: str) -> None:
    """The scheme may have any case (RFC 9110 §11.1)."""
    assert bearer_token(header) == "abc"


@pytest.mark.parametrize("header", ["", "abc", "Bearer", "Bearer ", "Basic abc", "Bearerabc"])
def test_no_other_header_is_one(header: str) -> None:
    """401."""
    with pytest.raises(NotAuthenticatedError):
        bearer_token(header)


def test_a_password_is_hashed_at_its_cost() -> None:
    """With a salt of its own. The hash fits its column."""
    hashed, again = hash_password("correct-horse", cost=4), hash_password("correct-horse", cost=4)
    assert hashed.startswith("$2b$04$")
    assert len(hashed) == 60
    assert hashed != again
    assert verify_password("correct-horse", hashed)
    assert not verify_password("correct-Horse", hashed)
    assert not verify_password("", hashed)


def test_a_password_is_changed_only_with_the_current_one() -> None:
    """The new hash is of the new password at its cost. With a wrong old password there is none."""
    hashed = hash_password("old-password", cost=4)
    new = verify_and_hash("old-password", hashed, "new-password", cost=5)
    assert new is not None
    assert (verify_password("new-password", new), cost_of(new)) == (True, 5)
    assert verify_and_hash("other-password", hashed, "new-password", cost=5) is None


def test_72_bytes_are_the_most() -> None:
    """A longer password is rejected, not cut off. bcrypt itself would raise."""
    longest = "é" * 36
    hashed = hash_password(longest, cost=4)
    assert verify_password(longest, hashed)
    assert not verify_password(longest + "x", hashed)
    with pytest.raises(ValueError, match="72"):
        bcrypt.checkpw(b"x" * 73, hashed.encode())


def test_opaque_tokens_are_stored_as_fingerprints() -> None:
    """They have 256 random bits, and never repeat."""
    made = {new_opaque_token() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.urlsafe_b64decode(f"{one}=")) for one in made} == {32}
    one = made.pop()
    assert len(fingerprint(one)) == 64
    assert fingerprint(one) == fingerprint(one) != fingerprint(made.pop())
    assert one not in fingerprint(one)
