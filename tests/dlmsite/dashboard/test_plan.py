"""Plans over HTTP: what would happen, committing to it, and what came of it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.test import Client

from dlmsite.dashboard import settling
from dlmsite.journal.models import HeldLock, LockEvent, MasterSight, Node, RingVersion
from dlmsite.journal.nodes import write_sight
from dlmsite.journal.writer import digest_of
from dlmsite.operations import asking, concluding, planrows, requests
from dlmsite.operations.models import ChangePlan, Hold, OperatorAction
from lockcore.core.inspecting import LeaseSeen
from lockcore.core.ring import HashRing
from tests.dlmsite.dashboard.conftest import ADDRESSES, GENERATION, HOUR_NS, VIEW
from tests.dlmsite.dashboard.test_openapi import check

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("people", "cluster", "at_rest")]

AsUser = Callable[[str], Client]
N4 = "127.0.0.1:8004.18004"
RING = HashRing(ADDRESSES[label] for label in ("n1", "n2"))


@pytest.fixture
def at_rest(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """n1 and n2 are the ring, n3 was killed long ago, the master is seen; nodes tell of no lease."""
    del cluster
    members = [{"address": ADDRESSES[label], "incarnation": "5", "down": False} for label in ("n1", "n2")]
    RingVersion.objects.update(members=members)
    later_ns = RingVersion.objects.get().at_ns + HOUR_NS
    write_sight(None, later_ns)
    Node.objects.update(updated_at_ns=later_ns)

    async def leases(keys: Mapping[str, list[str]]) -> dict[str, tuple[LeaseSeen, ...] | None]:
        """n1 tells, n2 is silent."""
        told = tuple(LeaseSeen(key, GENERATION, 4_200) for key in keys.get(ADDRESSES["n1"], ()))
        return {address: told if address == ADDRESSES["n1"] else None for address in keys}

    monkeypatch.setattr(asking, "ask_leases", leases)


def hold_many(count: int) -> list[str]:
    """Let locks be held where the ring has them."""
    keys = sorted(f"jobs/{i:05}" for i in range(count))
    HeldLock.objects.bulk_create(
        HeldLock(
            digest=digest_of(key), key=key, node=RING.primary(key) or "", incarnation=5, owner="ada",
            generation=GENERATION, seq=2, order_ns=1, since_ns=2_000_000, ttl_ms=7000,
        )
        for key in keys
    )  # fmt: skip
    return keys


def preview(client: Client, query: str) -> Any:
    response = client.get(f"/api/plan/?{query}")
    check("/api/plan/", "get", response)
    assert response.status_code == 200, response.content
    return response.json()


def commit(client: Client, changes: str, view: int = VIEW, pace: str = "together") -> Any:
    body = {"view": str(view), "changes": changes, "pace": pace}
    response = client.post("/api/plan/commit/", body, content_type="application/json")
    check("/api/plan/commit/", "post", response)
    return response


def tell(kind: str, key: str, node: str) -> None:
    number = LockEvent.objects.count() + 1
    LockEvent.objects.create(
        source=node, incarnation=5, number=number, wall_ns=number, kind=kind, key=key, generation=GENERATION
    )


# --- what would happen ------------------------------------------------------------------------------------------------


def test_a_kill_promotes_what_the_node_holds_and_makes_the_rest_of_its_copies_anew(as_user: AsUser) -> None:
    keys = hold_many(40)
    of_n1 = [key for key in keys if RING.primary(key) == ADDRESSES["n1"]]
    found = preview(as_user("eve"), "changes=kill:n1")
    assert (found["view"], found["held"]["total"]) == (str(VIEW), 40)
    assert found["held"]["fates"] == {
        "stays": 40 - len(of_n1), "promoted": len(of_n1), "transferred": 0, "grace": 0,
    }  # fmt: skip
    assert found["held"]["flows"] == [
        {"source": ADDRESSES["n1"], "target": ADDRESSES["n2"], "fate": "promoted", "locks": len(of_n1)}
    ]
    (flow,) = found["space"]["flows"]
    assert (flow["source"], flow["target"]) == (ADDRESSES["n1"], ADDRESSES["n2"])
    assert (
        flow["share"]
        == pytest.approx(found["space"]["moved"])
        == pytest.approx(RING.region(primary=ADDRESSES["n1"]).share)
    )
    assert {node["label"]: (node["before"], node["after"]) for node in found["nodes"]} == {
        "n1": (True, False), "n2": (True, True),
    }  # fmt: skip
    assert [lock["key"] for lock in found["locks"]["list"]] == keys


def test_a_node_to_come_has_its_label_and_address_and_is_given_locks(as_user: AsUser) -> None:
    keys = hold_many(40)
    found = preview(as_user("eve"), "changes=add")
    assert [(c["what"], c["label"], c["address"]) for c in found["changes"]] == [("add", "n4", N4)]
    after = HashRing([*RING.servers, N4])
    assert found["held"]["fates"]["transferred"] == sum(after.primary(key) == N4 for key in keys) > 0


def test_two_kills_together_put_everything_in_a_grace_and_in_turn_only_what_the_last_one_had(as_user: AsUser) -> None:
    hold_many(20)
    together = preview(as_user("eve"), "changes=kill:n1,kill:n2,add")
    assert (together["held"]["fates"]["grace"], together["grace_ms"]) == (20, 60_000)
    in_turn = preview(as_user("eve"), "changes=kill:n1,add,kill:n2&pace=in+turn")
    assert in_turn["held"]["fates"]["grace"] == 0
    assert [c["wave"] for c in in_turn["changes"]] == [0, 1, 2]


def test_leases_are_as_their_primaries_tell_and_unknown_where_one_is_silent(as_user: AsUser) -> None:
    hold_many(20)
    found = preview(as_user("eve"), "changes=add")["locks"]
    left = {lock["source"]: lock["remaining_ms"] for lock in found["list"]}
    assert left == {ADDRESSES["n1"]: 4_200, ADDRESSES["n2"]: None}
    assert found["silent"] == ["n2"]


def test_a_list_goes_on_after_a_key_and_totals_are_of_all(as_user: AsUser) -> None:
    keys = hold_many(30)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        found = preview(as_user("eve"), f"changes=kill:n1&fate=promoted&limit=4&after={after}")
        assert found["held"]["total"] == 30
        assert len(found["locks"]["list"]) <= 4
        seen += [lock["key"] for lock in found["locks"]["list"]]
        after = found["locks"]["next_after"]
    assert seen == [key for key in keys if RING.primary(key) == ADDRESSES["n1"]]


def test_what_the_dead_held_is_told_apart(as_user: AsUser) -> None:
    """Both nodes that knew it have died: no plan can do anything to it."""
    hold_many(3)
    HeldLock.objects.filter(key="jobs/00001").update(node=ADDRESSES["n3"])
    held = preview(as_user("eve"), "changes=add")["held"]
    assert (held["total"], held["unserved"]) == (2, 1)


def test_no_changes_is_the_ring_as_it_is(as_user: AsUser) -> None:
    hold_many(3)
    found = preview(as_user("eve"), "")
    assert (found["space"]["moved"], found["held"]["fates"]["stays"]) == (0, 3)


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("changes=explode:n1", 400, "'explode:n1' is no change of the ring"),
        ("changes=kill", 400, "Write the changes as"),
        ("changes=kill:n1,stop:n1", 400, "n1 is in the plan twice"),
        ("changes=" + "add," * 17, 400, "at most 16 changes; these are 17"),
        ("changes=kill:n9", 409, "There is no node 'n9'"),
        ("changes=kill:n3", 409, "n3 is not in the ring: it was killed"),
        ("changes=add&pace=slowly", 400, "choose one of together, in turn"),
        ("changes=add&limit=201", 400, "limit must be a whole number from 0 to 200"),
    ],
)
def test_what_is_not_understood_or_not_there_says_so(as_user: AsUser, query: str, status: int, told: str) -> None:
    response = as_user("eve").get(f"/api/plan/?{query}")
    assert response.status_code == status
    assert told in response.json()["detail"]


def settle_not() -> None:
    RingVersion.objects.update(settled_at_ns=None)


def mark_down() -> None:
    row = RingVersion.objects.get()
    row.members[0]["down"] = True
    row.save()


def suspect() -> None:
    Node.objects.filter(label="n2").update(state="suspected")


def pause() -> None:
    Hold.objects.create(label="n2", kind="paused", who="eve", pid=1, since_ns=1)


def stabilise() -> None:
    MasterSight.objects.update(stabilising_until_ns=1)


def lose_sight() -> None:
    MasterSight.objects.update(at_ns=1)


def restart() -> None:
    requests.ask("eve", "restart", "n2")


@pytest.mark.parametrize(
    ("disturb", "told"),
    [
        (settle_not, "not every node has all it needs"),
        (mark_down, "n1 is down, and about to be taken off the ring"),
        (suspect, "n2 is suspected"),
        (pause, "n2 is paused"),
        (stabilise, "its stabilisation delay is running"),
        (lose_sight, "The master has not been seen just now"),
        (restart, "eve changes the ring just now (restart n2)"),
    ],
)
def test_no_plan_is_made_while_the_ring_is_not_at_rest(as_user: AsUser, disturb: Callable[[], None], told: str) -> None:
    disturb()
    for response in (as_user("ada").get("/api/plan/?changes=add"), commit(as_user("ada"), "add")):
        assert response.status_code == 409
        assert response.json()["title"] == "The cluster is still settling"
        assert told in response.json()["detail"]
    assert not ChangePlan.objects.exists()


def test_a_view_that_never_was_is_no_rest() -> None:
    RingVersion.objects.all().delete()
    assert settling.reasons(None)[0] == "No view has been published yet."


# --- committing -------------------------------------------------------------------------------------------------------


def test_committing_writes_the_plan_and_its_actions_in_the_order_of_the_waves(as_user: AsUser) -> None:
    hold_many(10)
    response = commit(as_user("ada"), "stop:n2,add,kill:n1")
    assert response.status_code == 202
    plan = ChangePlan.objects.get()
    assert (response.json()["id"], plan.who, plan.view) == (str(plan.pk), "ada", VIEW)
    rows = OperatorAction.objects.order_by("id").values_list("what", "target", "wave", "state", "plan")
    assert list(rows) == [
        ("kill", "n1", 0, "requested", plan.pk),
        ("add", "n4", 1, "requested", plan.pk),
        ("stop", "n2", 2, "requested", plan.pk),
    ]
    assert [lock.key for lock in planrows.expected_of(plan)] == [f"jobs/{i:05}" for i in range(10)]


def test_a_plan_for_another_view_is_refused_and_recorded(as_user: AsUser) -> None:
    """What is done is what was shown, or nothing."""
    response = commit(as_user("ada"), "kill:n1", view=VIEW - 1)
    assert (response.status_code, response.json()["title"]) == (409, "The ring has changed")
    assert f"made for view {VIEW - 1}, and the ring is in view {VIEW} now" in response.json()["detail"]
    (row,) = OperatorAction.objects.all()
    assert (row.what, row.state, row.plan) == ("plan", "failed", None)


def test_a_viewer_may_look_and_not_commit(as_user: AsUser) -> None:
    preview(as_user("eve"), "changes=kill:n1")
    assert commit(as_user("eve"), "kill:n1").status_code == 403
    assert not ChangePlan.objects.exists()
    assert OperatorAction.objects.get().detail.startswith("refused: ")


def test_a_second_commit_finds_the_first_under_way(as_user: AsUser) -> None:
    assert commit(as_user("ada"), "kill:n1").status_code == 202
    assert commit(as_user("ada"), "kill:n2").status_code == 409
    assert ChangePlan.objects.count() == 1


def test_of_two_commits_at_the_same_moment_one_is_refused(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read a ring at rest; the second one finds out when it writes."""
    monkeypatch.setattr(settling, "reasons", lambda _: [])
    assert commit(as_user("ada"), "kill:n1").status_code == 202
    response = commit(as_user("ada"), "kill:n2")
    assert response.status_code == 409
    assert "ada changes the ring just now (kill n1)" in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"view": 7, "changes": "add", "pace": "together"}',
        json.dumps({"view": str(VIEW), "changes": "", "pace": "together"}).encode(),
        json.dumps({"view": str(VIEW), "changes": "add", "pace": "soon"}).encode(),
        json.dumps({"view": str(VIEW), "changes": "add," * 9_000, "pace": "together"}).encode(),
        json.dumps({"view": "9" * 4_000, "changes": "add", "pace": "in turn"}).encode(),
    ],
)  # fmt: skip
def test_bad_bodies_get_a_clear_answer(as_user: AsUser, body: bytes) -> None:
    response = as_user("ada").post("/api/plan/commit/", body, content_type="application/json")
    assert response.status_code in {400, 409}
    assert response["Content-Type"] == "application/problem+json"
    assert not ChangePlan.objects.exists()


def test_old_plans_go_and_their_actions_stay(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planrows, "PLANS_KEPT", 2)
    for _ in range(3):
        commit(as_user("ada"), "add")
        OperatorAction.objects.update(state="done")
    assert ChangePlan.objects.count() == 2
    assert OperatorAction.objects.filter(plan=None).count() == 1


# --- what came of it --------------------------------------------------------------------------------------------------


def look(client: Client, query: str = "") -> Any:
    response = client.get(f"/api/plan/{ChangePlan.objects.get().pk}/?{query}")
    check("/api/plan/{plan_id}/", "get", response)
    assert response.status_code == 200, response.content
    return response.json()


def carry_out(*, but: str = "") -> None:
    """n1 is dead: its locks are promoted at n2, but for one that is not."""
    OperatorAction.objects.update(state="done")
    for lock in planrows.expected_of(ChangePlan.objects.get()):
        if lock.course.fate == "promoted" and lock.key != but:
            tell("promoted", lock.key, ADDRESSES["n2"])


def conclude() -> None:
    concluding._write(ChangePlan.objects.get().pk, VIEW, [ADDRESSES["n2"]], complete=True)


def test_predicted_stands_beside_actual_and_a_difference_is_counted(as_user: AsUser) -> None:
    keys = hold_many(20)
    of_n1 = [key for key in keys if RING.primary(key) == ADDRESSES["n1"]]
    commit(as_user("ada"), "kill:n1")
    carry_out(but=of_n1[0])
    tell("released", of_n1[1], ADDRESSES["n2"])
    conclude()
    found = look(as_user("eve"))
    assert (found["state"], found["differs"], found["happened"]["final"]) == ("final", 1, True)
    assert found["happened"]["fates"]["promoted"] == {"same": len(of_n1) - 1, "ended": 0, "differs": 1}
    assert found["happened"]["moved"] == pytest.approx(found["space"]["moved"])
    (odd,) = look(as_user("eve"), "verdict=differs")["locks"]["list"]
    assert (odd["key"], odd["fate"], odd["actual"]["fate"], odd["actual"]["verdict"]) == (
        of_n1[0], "promoted", "grace", "differs",
    )  # fmt: skip


def test_until_it_is_final_the_record_so_far_is_told(as_user: AsUser) -> None:
    hold_many(5)
    commit(as_user("ada"), "kill:n1")
    assert look(as_user("eve"))["state"] == "running"
    OperatorAction.objects.update(state="done")
    found = look(as_user("eve"))
    assert (found["state"], found["differs"], found["happened"]["final"]) == ("settling", None, False)
    carry_out()
    RingVersion.objects.update(members=[{"address": ADDRESSES["n2"], "incarnation": "5", "down": False}])
    assert look(as_user("eve"))["happened"]["differs"] == 0


def test_what_was_written_down_stays_when_history_is_gone(as_user: AsUser) -> None:
    hold_many(5)
    commit(as_user("ada"), "kill:n1")
    carry_out()
    conclude()
    before = look(as_user("eve"))
    LockEvent.objects.all().delete()
    RingVersion.objects.all().delete()
    conclude()  # once and for all
    assert look(as_user("eve")) == before


def test_a_node_that_did_not_come_is_missing(as_user: AsUser) -> None:
    commit(as_user("ada"), "kill:n1,add")
    conclude()
    happened = look(as_user("eve"))["happened"]
    assert (happened["missing"], happened["unforeseen"]) == ([N4], [])


def test_more_facts_than_are_looked_at_are_not_called_complete(
    as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_many(20)
    commit(as_user("ada"), "kill:n1")
    monkeypatch.setattr(planrows, "FACTS_MAX", 2)
    carry_out()
    conclude()
    assert look(as_user("eve"))["happened"]["complete"] is False


def test_plans_are_listed_and_one_that_never_was_is_not_found(as_user: AsUser) -> None:
    commit(as_user("ada"), "add")
    response = as_user("eve").get("/api/plans/")
    check("/api/plans/", "get", response)
    assert [(each["who"], each["state"]) for each in response.json()["plans"]] == [("ada", "running")]
    for number in ("99", "9" * 30):
        response = as_user("eve").get(f"/api/plan/{number}/")
        assert response.status_code == 404
        assert "There is no plan" in response.json()["detail"]
