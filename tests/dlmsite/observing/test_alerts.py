"""Each alert comes with what it warns of, and goes with it."""

from __future__ import annotations

from typing import Any

import pytest

from dlmsite.observing.alerts import BAD, CHURN_MIN, KINDS, WARN, Alert, alerts_of
from dlmsite.observing.models import ObservedCluster, ObservedFiler

A, B = "10.0.0.1:8888.18888", "10.0.0.2:8888.18888"
FELL: dict[str, Any] = {"problem": "", "falls": 2, "fell_from": "23056", "tries": 9}
FAILED: dict[str, Any] = {"problem": "no answer in time", "falls": 0, "tries": 9}


def filer(address: str = A, *, on_ring: bool = True, connected: bool | None = True, **canary: Any) -> ObservedFiler:
    return ObservedFiler(address=address, number=1, on_ring=on_ring, connected=connected, since_ns=1, canary=canary)


def alerts(
    servers: list[str] | None, *filers: ObservedFiler, changes: int = 0, seen: bool = True, **cluster: Any
) -> list[Alert]:
    row = ObservedCluster(name="prod", **{"state": "following", "attached": True, **cluster})
    return alerts_of(row, servers, filers, changes, seen=seen)


def test_a_ring_of_two_that_are_well_is_no_reason_to_warn() -> None:
    assert alerts([A, B], filer(A), filer(B), changes=CHURN_MIN - 1) == []
    assert alerts([A, B], filer(A), filer(B, connected=None)) == [], "what a master does not say is no alert"
    assert alerts([A, B], filer(on_ring=False, connected=False, **FAILED)) == [], "who left may be gone"


@pytest.mark.parametrize(
    ("found", "kind", "severity", "address"),
    [
        (alerts([A, B], state="away"), "away", BAD, ""),
        (alerts([]), "empty", BAD, ""),
        (alerts([A], filer()), "alone", WARN, A),
        (alerts([A, B], changes=CHURN_MIN), "churn", WARN, ""),
        (alerts([A, B], filer(connected=False)), "gone", BAD, A),
        (alerts([A, B], filer(**FAILED)), "canary", BAD, A),
        (alerts([A, B], filer(**FELL)), "fell", WARN, A),
        (alerts([A], filer(connected=False), seen=False, state="away"), "unwatched", BAD, ""),
    ],
)
def test_what_is_wrong_is_told(found: list[Alert], kind: str, severity: str, address: str) -> None:
    assert [(alert.kind, alert.severity, alert.address) for alert in found] == [(kind, severity, address)]
    assert kind in KINDS


def test_the_gravest_comes_first() -> None:
    found = alerts([A], filer(A, connected=False, **FELL), changes=99, state="away")
    assert [alert.kind for alert in found] == ["away", "gone", "fell", "alone", "churn"]


def test_of_a_cluster_that_was_detached_nothing_is_told() -> None:
    assert alerts([], attached=False, seen=False) == []
