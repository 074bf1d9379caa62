"""Where a client asks next."""

from __future__ import annotations

from lockcore.client.route import Route
from lockcore.core.view import Member, View

SEEDS = ("s:1", "s:2")
ADDRESSES = [f"10.0.0.{i}:8000.18000" for i in range(1, 5)]
TARGETS = {address: f"{address.split(':')[0]}:18000" for address in ADDRESSES}


def view(number: int = 1, *, down: str = "") -> View:
    return View(number, number, tuple(Member(address, 1, down=address == down) for address in ADDRESSES))


def all_usable(_: str) -> bool:
    return True


def targets(route: Route, current: View | None, count: int) -> list[str]:
    """Whom it asks when everybody fails."""
    asked = []
    for _ in range(count):
        target = route.choose(current, all_usable)
        route.failed(target)
        asked.append(target)
    return asked


def test_without_a_view_the_seeds_are_asked_in_turn() -> None:
    assert targets(Route("k", SEEDS), None, 3) == ["s:1", "s:2", "s:1"]


def test_the_primary_is_asked_first_then_the_backup_then_everybody() -> None:
    ring = view().ring
    asked = targets(Route("k", SEEDS), view(), 6)
    assert asked[:2] == [TARGETS[str(ring.primary("k"))], TARGETS[str(ring.backup("k"))]]
    assert set(asked) == {*TARGETS.values(), *SEEDS}


def test_a_node_that_is_down_is_not_asked() -> None:
    primary = str(view().ring.primary("k"))
    assert TARGETS[primary] not in targets(Route("k", SEEDS), view(down=primary), 5)


def test_a_seed_that_is_down_is_asked_last() -> None:
    """A target usually names all nodes; the one that died must not cost a timeout."""
    primary = str(view().ring.primary("k"))
    asked = targets(Route("k", tuple(TARGETS.values())), view(down=primary), 4)
    assert asked[-1] == TARGETS[primary]


def test_a_new_view_begins_anew_with_its_primary() -> None:
    """Else the walk would go on from the old place in another list, and could meet the dead node again."""
    primary = str(view().ring.primary("k"))
    route = Route("k", tuple(TARGETS.values()))
    route.failed(route.choose(view(1), all_usable))
    current = view(2, down=primary)
    assert route.choose(current, all_usable) == TARGETS[str(current.ring.primary("k"))]


def test_after_a_success_the_primary_is_asked_again() -> None:
    route = Route("k", SEEDS)
    first = route.choose(view(), all_usable)
    route.failed(first)
    assert route.choose(view(), all_usable) != first
    route.worked()
    assert route.choose(view(), all_usable) == first


def test_who_is_known_to_be_broken_is_passed_over_while_others_are_not() -> None:
    primary = TARGETS[str(view().ring.primary("k"))]
    route = Route("k", SEEDS)
    assert route.choose(view(), lambda target: target != primary) != primary
    assert route.choose(view(), lambda _: False) == primary


def test_a_redirect_is_followed_before_the_ring() -> None:
    route = Route("k", SEEDS)
    assert route.moved("10.0.0.9:8000.18000", view())
    assert route.choose(view(), all_usable) == "10.0.0.9:18000"


def test_a_redirect_is_forgotten_when_the_view_has_changed() -> None:
    route = Route("k", SEEDS)
    route.moved("10.0.0.9:8000.18000", view(1))
    assert route.choose(view(2), all_usable) == TARGETS[str(view(2).ring.primary("k"))]


def test_a_redirect_to_where_the_ring_leads_is_none() -> None:
    current = view()
    assert not Route("k", SEEDS).moved(str(current.ring.primary("k")), current)


def test_a_redirect_to_what_is_no_address_is_none() -> None:
    assert not Route("k", SEEDS).moved("nowhere", view())


def test_after_three_failed_calls_to_where_it_moved_a_seed_is_asked() -> None:
    """lock_client.go: consecutiveFailures >= 3, then hostFiler = seedFiler."""
    route = Route("k", SEEDS)
    route.moved("10.0.0.9:8000.18000", None)
    asked = targets(route, None, 12)
    moved = [i for i, target in enumerate(asked) if target == "10.0.0.9:18000"]
    assert len(moved) == 3
    assert asked[moved[-1] + 1] == "s:1"


def test_failures_that_are_not_in_a_row_forget_no_redirect() -> None:
    route = Route("k", SEEDS)
    route.moved("10.0.0.9:8000.18000", None)
    for _ in range(5):
        route.failed("10.0.0.9:18000")
        route.failed("10.0.0.9:18000")
        route.worked()
    assert route.choose(None, all_usable) == "10.0.0.9:18000"
