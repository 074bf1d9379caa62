"""How the running check of the invariants is doing, as the page gets it.

Invariants
  V1  "Checking" is said only while the recorder's pulse is fresh; before anything was checked the page gets a zero, and
      no claim.
  V2  A message stays small, whatever a broken cluster does: SHOWN violations, texts of at most TEXT_CHARS_MAX.
Elsewhere: finding them (dlmsite.journal.checking), the rules (lockcore.testing.online), drawing them
(static/js/invariants.js).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.db.models import Count

from dlmsite.journal.models import Checking, LockEvent, Violation

NS_PER_MS: Final = 1_000_000
FRESH_NS: Final = 3_000_000_000
"""It is written once a second."""
SHOWN: Final = 10
TEXT_CHARS_MAX: Final = 256
TEXT_FIELDS: Final = ("key", "owner", "detail", "peer", "source")

RULES: Final[Mapping[str, str]] = {
    "I1": "A node grants a lock only after the hold before it has ended.",
    "I2": "A generation belongs to one grant, and the generations of a key only rise.",
    "I4": "Within one view, one node at most grants a key.",
    "I6": "A lock that was released is not promoted, handed over, readmitted or released again.",
    "I7": "The views of one life of a node only rise.",
}
"""What the running check can decide from facts; the rest takes the histories of clients (`make chaos`)."""

Json = dict[str, Any]
Shape = Callable[[LockEvent], Json]


def part(shape: Shape, now_ns: int) -> Json:
    """Return the INVARIANTS.

    Args:
        shape: makes an EVENT of a row.
        now_ns: wall clock.
    """
    row = Checking.objects.filter(pk=1).first()
    found = Counter(dict(Violation.objects.values_list("rule").annotate(count=Count("id"))))
    newest = Violation.objects.order_by("-id")[:SHOWN]
    return {
        "state": _state(row, now_ns),
        "trouble": row.trouble if row else "",
        "checked": str(row.checked if row else 0),
        "unchecked": str(row.unchecked if row else 0),
        "forgotten": str(row.forgotten if row else 0),
        "since_ms": row.since_ns / NS_PER_MS if row else None,
        "remembers_since_ms": row.remembers_since_ns / NS_PER_MS if row else None,
        "found": sum(found.values()) + (row.unlisted if row else 0),
        "rules": [{"rule": rule, "says": says, "found": found[rule]} for rule, says in RULES.items()],
        "violations": [violation_of(violation, shape) for violation in newest],
    }


def violation_of(row: Violation, shape: Shape) -> Json:
    """Return a VIOLATION: the rule, what it says in this case, and both events as they were."""
    first, second = (shape(LockEvent(**_cut(event))) for event in row.evidence)
    return {
        "id": str(row.pk),
        "rule": row.rule,
        "text": _cut_text(row.text),
        "found_ms": row.found_at_ns / NS_PER_MS,
        "first": first,
        "second": second,
    }


def _state(row: Checking | None, now_ns: int) -> str:
    if row is None or now_ns - row.at_ns > FRESH_NS:
        return "unknown"
    return "stopped" if row.trouble else "checking"


def _cut(event: Json) -> Json:
    return {name: _cut_text(value) if name in TEXT_FIELDS else value for name, value in event.items()}


def _cut_text(text: str) -> str:
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[: TEXT_CHARS_MAX - 1]}\u2026"
