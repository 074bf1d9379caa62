"""What is looked for in the history: a filter, read from an address and written back into one. Pure.

Invariants
  A1  What cannot be meant is refused with what would be right; what merely matches nothing is not.
Elsewhere: rows that match (auditquery), who asks (audit, auditexport).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpRequest

from dlmsite.dashboard.parameters import SHOWN_CHARS, KeyName, Text, Whole
from dlmsite.dashboard.problems import invalid
from lockcore.core.events import EventKind

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
NS_MAX: Final = (1 << 63) - 1
TEXT_CHARS_MAX: Final = 200
_NANOSECONDS: Final = re.compile(r"\d{16,19}", re.ASCII)
_MILLISECONDS: Final = re.compile(r"\d{11,15}", re.ASCII)
_FRACTION: Final = re.compile(r"(.*:\d\d)\.(\d{1,9})(.*)", re.ASCII)
TIME_SAYS: Final = "such as 2026-11-21T14:03:00Z (UTC unless it says otherwise), milliseconds or nanoseconds since 1970"


@dataclass(frozen=True, slots=True)
class Kinds:
    """Kinds of events, joined by commas; none is all of them."""

    name: str = "kind"
    says: str = "Only events of these kinds, joined by commas."
    required: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": "string", "maxLength": 512}

    def read(self, request: HttpRequest) -> tuple[str, ...]:
        """Return its value.

        Raises:
            Refusal: one is no kind.
        """
        kinds = [kind for kind in request.GET.get(self.name, "").split(",") if kind]
        for kind in kinds:
            if kind not in set(EventKind):
                raise invalid(f"There is no kind {kind[:SHOWN_CHARS]!r}: choose from {', '.join(EventKind)}.")
        return tuple(dict.fromkeys(kinds))


@dataclass(frozen=True, slots=True)
class Moment:
    """A time."""

    name: str
    says: str
    required: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": "string", "maxLength": 64}

    def read(self, request: HttpRequest) -> int | None:
        """Return it in nanoseconds since 1970, None for none.

        Raises:
            Refusal: it is no time.
        """
        text = request.GET.get(self.name, "")
        if not text:
            return None
        found = parse_time(text)
        if found is None:
            raise invalid(f"{self.name} is no time: {text[:SHOWN_CHARS]!r}. Write it {TIME_SAYS}.")
        return found


KEY: Final = KeyName(says="Only events of the lock with exactly this name.")
PREFIX: Final = KeyName("prefix", "Only events of locks whose names begin so.")
OWNER: Final = Text("owner", "Only events with exactly this owner.", chars_max=1024)
NODE: Final = Text("node", "Only what this node told: its label, its ring address, 'master' or 'site'.")
KINDS: Final = Kinds()
SESSION: Final = Text("session", "Only what has to do with this session.")
OPERATOR: Final = Text("operator", "Only what this operator asked for.", chars_max=150)
VIEW: Final = Whole("view", "Only what happened in this view.")
VERSION: Final = Whole("version", "Only what happened in this version of the ring.")
GENERATION: Final = Whole("generation", "Only events with this fencing token.")
FROM: Final = Moment("from", f"Only events at or after this time, {TIME_SAYS}.")
TO: Final = Moment("to", f"Only events at or before this time, {TIME_SAYS}.")
TEXT: Final = Text(
    "text", "Only events that have this text in key, owner, detail, peer, session or node.", chars_max=TEXT_CHARS_MAX
)
PARAMETERS: Final = (
    KEY, PREFIX, OWNER, NODE, KINDS, SESSION, OPERATOR, VIEW, VERSION, GENERATION, FROM, TO, TEXT,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """What an event has to be. Empty parts match everything.

    Attributes:
        node: a ring address, "master" or "site".
        operator: who asked for something; such events are of kind "operator".
        from_ns: wall clock, inclusive.
        to_ns: same.
    """

    key: str = ""
    prefix: str = ""
    owner: str = ""
    node: str = ""
    kinds: tuple[str, ...] = ()
    session: str = ""
    operator: str = ""
    view: int = 0
    version: int = 0
    generation: int = 0
    from_ns: int | None = None
    to_ns: int | None = None
    text: str = ""


def read_filter(request: HttpRequest, addresses: Mapping[str, str]) -> Filter:
    """Return the filter that an address asks for.

    Args:
        request: what was asked.
        addresses: ring addresses of nodes by their labels.

    Raises:
        Refusal: it cannot be understood, or contradicts itself.
    """
    node = NODE.read(request)
    found = Filter(
        key=KEY.read(request),
        prefix=PREFIX.read(request),
        owner=_utf8(OWNER.read(request), "owner"),
        node=_utf8(addresses.get(node, node), "node"),
        kinds=KINDS.read(request),
        session=_utf8(SESSION.read(request), "session"),
        operator=_utf8(OPERATOR.read(request), "operator"),
        view=VIEW.read(request) or 0,
        version=VERSION.read(request) or 0,
        generation=GENERATION.read(request) or 0,
        from_ns=FROM.read(request),
        to_ns=TO.read(request),
        text=_utf8(TEXT.read(request), "text"),
    )
    _refuse_contradictions(found)
    return found


def parse_time(text: str) -> int | None:
    """Return nanoseconds since 1970, within 63 bits; None if it is no time."""
    if _NANOSECONDS.fullmatch(text):
        return min(int(text), NS_MAX)
    if _MILLISECONDS.fullmatch(text):
        return min(int(text) * NS_PER_MS, NS_MAX)
    fraction = _FRACTION.fullmatch(text)  # datetime reads microseconds at most
    whole, below = (fraction.group(1) + fraction.group(3), fraction.group(2)) if fraction else (text, "")
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError:
        return None
    if text.isdigit():  # 20261121 is a date to Python, and more likely a mistake
        return None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    found = (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * NS_PER_US
    return min(max(0, found + int(below.ljust(9, "0") or "0")), NS_MAX)


def as_utc(at_ns: int) -> str:
    """Return a time as ISO 8601 in UTC, to the nanosecond, such as 2026-11-21T14:03:00.000000001Z."""
    seconds, below = divmod(at_ns, NS_PER_S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{below:09}Z"


def _refuse_contradictions(asked: Filter) -> None:
    if asked.key and asked.prefix:
        raise invalid("Say key or prefix, not both.")
    if asked.from_ns is not None and asked.to_ns is not None and asked.from_ns > asked.to_ns:
        raise invalid("from is later than to. Exchange them.")
    if asked.operator and asked.owner and asked.operator != asked.owner:
        raise invalid("The owner of an operator's event is the operator: say owner or operator.")
    if asked.operator and asked.kinds and EventKind.OPERATOR not in asked.kinds:
        raise invalid("What operators ask for is of kind operator: leave kind out, or add operator to it.")


def _utf8(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid(f"{name} is UTF-8 text.") from None
    if "\0" in text:
        raise invalid(f"{name} has no NUL in it.")
    return text
