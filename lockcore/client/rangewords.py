"""The words of the shell of byte ranges: a line becomes a request, an answer becomes a line. Pure.

Elsewhere: carrying them out (rangeshell), their meaning (ranges).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lockcore.core.operations import HeldRange, How
from lockcore.core.rangerecords import Kind
from lockcore.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lockcore.core.inspecting import KeySeen
    from lockcore.core.operations import RangeLocked

OWNER: Final = "main"
LINE_CHARS_MAX: Final = 1_000
DIGITS_MAX: Final = 20
USAGE: Final = """\
setlk read|write [START [LENGTH]] [as OWNER]         lock, or say who is in the way
setlkw read|write [START [LENGTH]] [as OWNER] [wait SECONDS] [fair]
                                                     lock, waiting for it; Ctrl-C leaves the queue
getlk read|write [START [LENGTH]] [as OWNER]         say what is in the way of a lock
unlck [START [LENGTH]] [as OWNER]                    let go, held or not
show                                                 all rows of the key, and who waits
switch                                               a new session takes over without a break (SETLK_MIGRATE)
session                                              the session that holds the ranges
quit                                                 let go of everything
START and LENGTH are bytes; LENGTH 0, the default, is to the end; OWNER is main, or any name of yours."""

LOCKING: Final = frozenset({"setlk", "setlkw", "getlk", "hold"})
PLAIN: Final = frozenset({"show", "switch", "session", "help", "quit"})
NAMES: Final = (*sorted(LOCKING - {"hold"}), "unlck", *sorted(PLAIN))


@dataclass(frozen=True, slots=True)
class Words:
    """One line. `wait` None: as long as the session lives."""

    name: str
    kind: Kind = Kind.READ
    start: int = 0
    length: int = 0
    owner: str = OWNER
    wait: float | None = None
    fair: bool = False


def read_line(line: str) -> Words | None:
    """Return what a line asks for; None for an empty one.

    Raises:
        InvalidRequest: it makes no sense; the text says what would.
    """
    if len(line) > LINE_CHARS_MAX:
        raise InvalidRequest(f"a line has at most {LINE_CHARS_MAX} characters; this one has {len(line)}")
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise InvalidRequest(f"this line cannot be read: {error}") from None
    return read_words(words) if words else None


def read_words(words: Sequence[str]) -> Words:
    """Return what words ask for; raises as `read_line`."""
    name, rest = words[0].lower(), list(words[1:])
    if name in {"exit", "q"}:
        name = "quit"
    if name not in LOCKING and name not in PLAIN and name != "unlck":
        raise InvalidRequest(f"there is no {name[:40]!r} here: write one of {', '.join(NAMES)}")
    found = Words(name)
    if name in PLAIN:
        if rest:
            raise InvalidRequest(f"{name} stands alone; {rest[0][:40]!r} is too much")
        return found
    kind = _kind(name, rest) if name in LOCKING else Kind.READ
    numbers = [_offset(rest.pop(0)) for _ in range(2) if rest and _is_number(rest[0])]
    start, length = (*numbers, 0, 0)[:2]
    options = dict(_options(name, rest))
    return Words(
        name, kind, start, length, str(options.get("as", OWNER)), _wait(options.get("wait")), "fair" in options
    )


def _kind(name: str, rest: list[str]) -> Kind:
    given = rest.pop(0).lower() if rest else ""
    try:
        return Kind(given)
    except ValueError:
        raise InvalidRequest(f"say for what: {name} read …, or {name} write …") from None


def _is_number(word: str) -> bool:
    return word.lstrip("+-").isdecimal() or word[:1].isdecimal()


def _offset(word: str) -> int:
    digits = word.lstrip("+-")
    if not (digits.isdecimal() and digits.isascii() and len(word) <= DIGITS_MAX):
        raise InvalidRequest(f"{word[:40]!r} is no whole number of bytes")
    try:
        return int(word)
    except ValueError:
        raise InvalidRequest(f"{word[:40]!r} is no whole number of bytes") from None


def _options(name: str, rest: list[str]) -> Iterator[tuple[str, str]]:
    while rest:
        word = rest.pop(0).lower()
        if word == "fair" and name in {"setlkw", "hold"}:
            yield word, ""
        elif rest and (word == "as" or (word == "wait" and name in {"setlkw", "hold"})):
            yield word, rest.pop(0)
        else:
            raise InvalidRequest(f"{name} does not know what to do with {word[:40]!r}; `help` says what it takes")


def _wait(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidRequest(f"wait takes seconds, not {text[:40]!r}") from None


# --- answers ------------------------------------------------------------------------------


def span_of(piece: HeldRange) -> str:
    """Return which bytes, by first and last."""
    if piece.length == 0:
        return f"{piece.start} to the end"
    return f"{piece.start} to {piece.start + piece.length - 1}"


def tell_piece(piece: HeldRange) -> str:
    """Return a piece in one line."""
    fence = f", fence {piece.fence}" if piece.fence else ""
    return f"{piece.kind.value:5} {span_of(piece)} by {_name(piece)}{fence}"


def _name(piece: HeldRange) -> str:
    return f"{piece.label or piece.session} ({piece.lock_owner})"


def tell_moved(moved: RangeLocked | None) -> list[str]:
    """Return what became of a migration."""
    if moved is None:
        return ["nothing was held, and nothing was taken"]
    word = "MIGRATED, held without a break" if moved.how is How.MIGRATED else "ACQUIRED, newly got"
    return [f"{word}: {tell_piece(piece)}" for piece in moved.pieces] or [word]


def tell_key(seen: KeySeen) -> list[str]:
    """Return everything on a key, line by line."""
    lines = [f"held   {tell_piece(piece)}" for piece in seen.ranges]
    lines += [f"waits  {tell_piece(place.piece)}{', fair' if place.fair else ''}" for place in seen.waiting]
    more = seen.ranges_total + seen.waiting_total - len(lines)
    if more > 0:
        lines.append(f"and {more} more")
    return lines or ["no range is locked, and nobody waits"]
