"""Renew tokens that describe themselves.

"lr1." + base64url(generation, seq, expiry, owner, MAC). The MAC (HMAC-SHA256
under a secret of the cluster, 16 bytes) also covers the key. To a client the
token is opaque; a node that inherited nothing can still tell that this
cluster granted it, and which of two is newer.

Invariants
  T1  A token of another key, owner, generation or secret never verifies.
  T2  One (key, generation, seq, expiry, owner) has one token: no randomness,
      so the simulator sees what users see.
Elsewhere: when a token is accepted (leases), why the expiry is only a second
opinion (docs/decisions).
"""

from __future__ import annotations

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from lockcore.core.limits import TOKEN_BYTES_MAX

PREFIX: Final = "lr1."
_HEAD: Final = struct.Struct(">QQQ")
_MAC_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a verified token says; `expires_wall_ms` is Unix milliseconds."""

    generation: int
    seq: int
    expires_wall_ms: int
    owner: str


class TokenMint:
    """Makes and verifies tokens. `secret` never leaves it."""

    def __init__(self, secret: bytes) -> None:
        """Keep the key of the MAC."""
        self._base = hmac.new(secret, b"renew-token", sha256)

    def _mac(self, key: str, payload: bytes) -> bytes:
        mac = self._base.copy()
        mac.update(len(key).to_bytes(4, "big") + key.encode() + payload)
        return mac.digest()[:_MAC_BYTES]

    def make(self, key: str, claims: TokenClaims) -> str:
        """Return the token of one grant or renewal."""
        head = _HEAD.pack(claims.generation, claims.seq, claims.expires_wall_ms)
        payload = head + claims.owner.encode()
        return PREFIX + urlsafe_b64encode(payload + self._mac(key, payload)).decode().rstrip("=")

    def read(self, key: str, token: str) -> TokenClaims | None:
        """Return what an authentic token of this key says, or None."""
        if not token.startswith(PREFIX) or len(token) > TOKEN_BYTES_MAX:
            return None
        body = token[len(PREFIX) :]
        try:
            raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
            payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
            if not hmac.compare_digest(mac, self._mac(key, payload)):
                return None
            generation, seq, expires_wall_ms = _HEAD.unpack_from(payload)
            owner = payload[_HEAD.size :].decode()
        except (Base64Error, ValueError, struct.error):
            return None
        return TokenClaims(generation, seq, expires_wall_ms, owner)
