"""Arrows between lanes: only where facts say so, and open where nobody recorded an end."""

from typing import Any

import pytest

from dlmsite.dashboard.spacetime import (
    AT_LEAST,
    CLIENTS_MAX,
    ELSEWHERE,
    OTHERS,
    UNHEARD,
    UNSENT,
    Arrow,
    Drawing,
    draw,
)
from dlmsite.journal.models import LockEvent
from lockcore.core.events import ENDED_TEXT, FORWARDED, HANDED_OVER_TEXT
from tests.dlmsite.dashboard.conftest import ADDRESSES, VIEW

N1, N2, N3 = ADDRESSES.values()
LABELS = {address: label for label, address in ADDRESSES.items()}


def event(number: int, source: str, kind: str, at_ns: int = 0, **fields: object) -> LockEvent:
    """Return an event as it is recorded; `at_ns` 0: as late as its number."""
    about = {"source": source, "kind": kind, "wall_ns": at_ns or number * 1_000, "view": VIEW, **fields}
    row = LockEvent(incarnation=5, number=number, **about)
    row.pk = number
    return row


def lock(number: int, source: str, kind: str, at_ns: int = 0, **fields: object) -> LockEvent:
    return event(number, source, kind, at_ns, **{"key": "k", "owner": "ada", "generation": 7, "seq": 3, **fields})


def arrows(*rows: LockEvent, kind: str = "") -> list[Arrow]:
    return [arrow for arrow in draw(rows, labels=LABELS).arrows if kind in {"", arrow.kind}]


def names(drawing: Drawing) -> list[str]:
    return [lane.name for lane in drawing.lanes]


def test_a_view_goes_from_its_publication_to_each_node_that_adopted_it() -> None:
    found = arrows(event(1, "master", "view"), event(2, N1, "view"), event(3, N2, "view"))
    assert found == [Arrow("view", "master", N1, 1, 2), Arrow("view", "master", N2, 1, 3)]


def test_a_view_of_another_number_is_not_what_was_adopted() -> None:
    """The arrow stays open: nothing says when the view that was adopted had been published."""
    found = arrows(event(1, "master", "view"), event(2, N1, "view", view=VIEW + 1))
    assert found == [Arrow("view", "master", N1, 0, 2, ELSEWHERE)]


def test_a_view_that_nobody_adopted_has_no_arrow() -> None:
    """Whether it reached anybody is not known."""
    assert arrows(event(1, "master", "view")) == []


def test_a_stale_view_is_an_arrow_that_was_refused() -> None:
    refused = event(3, N1, "refused", view=VIEW + 5, detail=f"stale view {VIEW}")
    assert arrows(event(1, "master", "view"), refused) == [Arrow("view", "master", N1, 1, 3, refused=True)]


def test_each_node_that_has_settled_tells_the_master() -> None:
    found = arrows(event(1, N1, "settled"), event(2, N2, "settled"), event(3, "master", "settled"))
    assert found == [Arrow("settled", N1, "master", 1, 3), Arrow("settled", N2, "master", 2, 3)]
    assert arrows(event(1, N1, "settled")) == [Arrow("settled", N1, "master", 1, 0, ELSEWHERE)]


def test_a_transfer_arrives_where_it_was_taken_and_its_sending_is_open() -> None:
    assert arrows(lock(1, N2, "transferred", peer=N1)) == [Arrow("transfer", N1, N2, 0, 1, UNSENT)]


def test_what_was_handed_over_comes_back_from_where_it_was_taken() -> None:
    taken = lock(1, N2, "transferred", peer=N1)
    given = lock(2, N1, "demoted", peer=N2, detail=HANDED_OVER_TEXT)
    assert arrows(taken, given, kind="handed over") == [Arrow("handed over", N2, N1, 1, 2)]


@pytest.mark.parametrize("other", [{"seq": 4}, {"generation": 8}, {"view": VIEW + 1}, {"key": "j"}, {"peer": N3}])
def test_the_ends_of_another_handover_are_not_joined(other: dict[str, Any]) -> None:
    taken = lock(1, N2, "transferred", **{"peer": N1, **other})
    given = lock(2, N1, "demoted", peer=N2, detail=HANDED_OVER_TEXT)
    assert arrows(taken, given, kind="handed over") == [Arrow("handed over", N2, N1, 0, 2, ELSEWHERE)]


def test_ranges_of_a_key_and_the_lock_of_that_name_are_not_mistaken_for_each_other() -> None:
    taken = lock(1, N2, "range-received", peer=N1)
    given = lock(2, N1, "demoted", peer=N2, detail=HANDED_OVER_TEXT)
    assert arrows(taken, given, kind="handed over") == [Arrow("handed over", N2, N1, 0, 2, ELSEWHERE)]


def test_who_learns_by_a_replica_that_it_is_primary_no_longer_has_it_from_the_promoted_node() -> None:
    promoted = lock(1, N2, "promoted", peer=N1)
    given = lock(2, N1, "demoted", peer=N2, detail="the new primary has it")
    assert arrows(promoted, given) == [Arrow("replica", N2, N1, 1, 2, AT_LEAST)]
    assert arrows(given) == [Arrow("replica", N2, N1, 0, 2, UNSENT)]


def test_a_promotion_alone_is_no_message() -> None:
    """Its peer is who was primary before: nobody sent anything, it has mostly died."""
    assert arrows(lock(1, N2, "promoted", peer=N1)) == []


def test_a_grant_has_the_copy_it_waited_for_and_its_answer() -> None:
    assert arrows(lock(1, N1, "granted", peer=N2)) == [
        Arrow("copy", N2, N1, 0, 1, UNSENT),
        Arrow("answer", N1, "client:ada", 1, 0, UNHEARD),
    ]


def test_a_grant_from_before_copies_were_recorded_has_none() -> None:
    assert [arrow.kind for arrow in arrows(lock(1, N1, "granted"))] == ["answer"]


def test_the_answer_to_a_forwarded_request_goes_to_who_forwarded_it() -> None:
    assert arrows(lock(1, N1, "granted", detail=f"{FORWARDED}{N3}")) == [
        Arrow("forward", N3, N1, 0, 1, UNSENT),
        Arrow("answer", N1, N3, 1, 0, UNHEARD),
    ]


@pytest.mark.parametrize("detail", [ENDED_TEXT, "by an operator: it was stuck"])
def test_a_release_that_its_holder_did_not_ask_for_is_no_answer_to_it(detail: str) -> None:
    assert arrows(lock(1, N1, "released", detail=detail)) == []


def test_an_expiry_and_a_refused_token_are_no_messages() -> None:
    """Time ends a lease; and whose token was refused nobody knows, for the owner in the fact is the holder."""
    refused = event(2, N1, "refused", key="k", owner="ada", detail="lock: token mismatch (held at generation 7)")
    assert arrows(lock(1, N1, "expired"), refused) == []


def test_a_stale_replica_is_an_arrow_that_was_refused() -> None:
    row = event(1, N1, "refused", key="k", owner="ada", detail=f"stale replica of generation 7 from {N2}")
    assert arrows(row) == [Arrow("replica", N2, N1, 0, 1, UNSENT, refused=True)]


def test_a_place_in_a_queue_was_asked_for_by_its_session() -> None:
    (request,) = arrows(lock(1, N1, "queued", session="s1", peer=N2), kind="request")
    assert request == Arrow("request", "client:s1", N1, 0, 1, UNSENT)


def test_a_migrations_peer_is_a_session_and_no_lane() -> None:
    found = draw([lock(1, N1, "migrated", session="s2", peer="s1")], labels=LABELS)
    assert [arrow.kind for arrow in found.arrows] == ["answer"]
    assert names(found) == ["n1", "ada \u2026s2"]


def test_a_goodbye_is_one_arrow_however_many_ends_are_known() -> None:
    said, heard = event(1, N2, "left", detail="goodbye said"), event(2, "master", "left", peer=N2)
    assert arrows(said, heard) == [Arrow("goodbye", N2, "master", 1, 2)]
    assert arrows(said) == [Arrow("goodbye", N2, "master", 1, 0, ELSEWHERE)]
    assert arrows(heard) == [Arrow("goodbye", N2, "master", 0, 2, ELSEWHERE)]


def test_clocks_that_differ_are_told_and_not_hidden() -> None:
    found = arrows(event(1, "master", "view", at_ns=9_000_000), event(2, N1, "view", at_ns=2_000_000))
    assert found == [Arrow("view", "master", N1, 1, 2, back_ns=7_000_000)]


def test_lanes_are_master_nodes_operators_clients() -> None:
    rows = [
        lock(1, N2, "granted", owner="<b>"),
        event(2, "site", "operator"),
        event(3, "master", "view"),
        event(4, "10.0.0.9:1.2", "fenced"),
    ]
    assert names(draw(rows, [N1, N3], LABELS)) == [
        "master", "n1", "n2", "n3", "10.0.0.9:1.2", "operators", "<b>",
    ]  # fmt: skip


def test_clients_beyond_those_met_most_share_a_lane() -> None:
    rows = [lock(n, N1, "granted", owner=f"c{n % 20}") for n in range(1, 41)]
    rows += [lock(100 + n, N1, "granted", owner="busy") for n in range(5)]
    found = draw(rows, labels=LABELS)
    clients = [lane for lane in found.lanes if lane.kind == "client"]
    assert len(clients) == CLIENTS_MAX
    assert "busy" in {lane.name for lane in clients}
    assert found.lanes[-1].name == f"{20 + 1 - CLIENTS_MAX} other clients"
    kept = {lane.id for lane in found.lanes}
    assert {arrow.end for arrow in found.arrows} <= kept
    assert OTHERS in {arrow.end for arrow in found.arrows}
