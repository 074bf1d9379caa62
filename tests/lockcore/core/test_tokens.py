"""Renew tokens: authentic, deterministic, useless for anything else.

Elsewhere: when a token is accepted (test_leases).
"""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.limits import OWNER_BYTES_MAX, TOKEN_BYTES_MAX
from lockcore.core.tokens import PREFIX, TokenClaims, TokenMint

MINT = TokenMint(b"the secret of a test cluster")
CLAIMS = TokenClaims(generation=1_700_000_000_000_000_007, seq=3, expires_wall_ms=1_700_000_060_000, owner="ada@host")
NUMBER = st.integers(0, 2**64 - 1)
CLAIM = st.builds(TokenClaims, NUMBER, NUMBER, NUMBER, st.text(max_size=40))


@given(st.text(min_size=1, max_size=60), CLAIM)
def test_a_token_says_what_was_put_into_it(key: str, claims: TokenClaims) -> None:
    """A node that inherited nothing learns generation, seq, expiry and owner from it."""
    assert MINT.read(key, MINT.make(key, claims)) == claims


@given(CLAIM, CLAIM, st.text(max_size=9), st.text(max_size=9))
def test_different_claims_or_keys_never_share_a_token(a: TokenClaims, b: TokenClaims, one: str, two: str) -> None:
    assert ((a, one) == (b, two)) == (MINT.make(one, a) == MINT.make(two, b))


def test_one_grant_has_one_token() -> None:
    """T2: no randomness, so the simulator sees what users see."""
    assert MINT.make("k", CLAIMS) == TokenMint(b"the secret of a test cluster").make("k", CLAIMS)


def test_a_token_of_another_key_or_secret_never_verifies() -> None:
    """T1: otherwise a holder of one lock could renew any other."""
    token = MINT.make("k", CLAIMS)
    assert MINT.read("k", token) == CLAIMS
    assert MINT.read("k2", token) is None
    assert TokenMint(b"another secret").read("k", token) is None


@given(st.data())
def test_a_changed_token_never_verifies(data: st.DataObject) -> None:
    """T1: each character is covered by the MAC, also those that spell generation and owner."""
    token = MINT.make("k", CLAIMS)
    at = data.draw(st.integers(len(PREFIX), len(token) - 1))
    other = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_"))
    forged = token[:at] + other + token[at + 1 :]
    # The last character may have unused bits: then the same bytes can be spelled twice.
    same = forged == token or at == len(token) - 1
    assert MINT.read("k", forged) in ([None, CLAIMS] if same else [None])


@given(st.text(max_size=80))
def test_what_is_no_token_is_answered_with_none(text: str) -> None:
    """Strangers send anything; nothing here may raise."""
    assert MINT.read("k", text) is None
    assert MINT.read("k", PREFIX + text) is None


def test_truncated_and_oversized_tokens_are_answered_with_none() -> None:
    token = MINT.make("k", CLAIMS)
    for length in range(len(token)):
        assert MINT.read("k", token[:length]) is None
    assert MINT.read("k", token + "A" * TOKEN_BYTES_MAX) is None


def test_the_longest_owner_still_fits_into_a_token() -> None:
    """Otherwise the lock of a long owner could be granted and never renewed."""
    claims = TokenClaims(2**64 - 1, 2**64 - 1, 2**64 - 1, "x" * OWNER_BYTES_MAX)
    token = MINT.make("k", claims)
    assert len(token) <= TOKEN_BYTES_MAX
    assert MINT.read("k", token) == claims


def test_a_token_does_not_contain_the_secret() -> None:
    assert b"secret" not in MINT.make("k", CLAIMS).encode()
