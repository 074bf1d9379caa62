"""What a session holds at one node, as one number: client and node compare it with each keep-alive.

The sum of one mark for each lock and each piece, in no order, so that either
side can keep it up to date without going through all that it has.

Elsewhere: the node's side (healing), the client's (lockcore.client.belief).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

MODULUS: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Digest:
    """What a node is primary of and a session holds, in one settled view: counts, and the sum of the marks."""

    view: int
    locks: int
    pieces: int
    sum: int


def lock_mark(key: str, generation: int) -> int:
    """Return the mark of a named lock."""
    return _mark(f"{generation}|{key}")


def piece_mark(key: str, lock_owner: str, kind: str, start: int, length: int, fence: int) -> int:  # noqa: PLR0913, PLR0917 - what a piece is
    """Return the mark of a piece; `length` as l_len, 0 to the end."""
    return _mark(f"{kind} {start} {length} {fence} {len(lock_owner)}|{lock_owner}|{key}")


def _mark(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
