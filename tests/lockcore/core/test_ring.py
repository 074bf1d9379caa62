"""The hash ring is SeaweedFS's, bit for bit, and moves no more than it must.

Elsewhere: regions (test_region), who is down (test_view).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.region import EVERYWHERE, NOWHERE, SPACE
from lockcore.core.ring import HashRing, position_of

if TYPE_CHECKING:
    from random import Random

SERVERS = [f"10.0.0.{i}:8888.18888" for i in range(1, 9)]
KEYS = [f"/topics/orders/{i}" for i in range(2_000)]
SERVER_SETS = st.sets(st.sampled_from(SERVERS), min_size=2)
# CRC-32 is linear: two names whose virtual nodes meet once meet often.
TWINS = ("node12860456.example:8624", "node57808700.example:8300")
TWIN_POSITION = 3_169_110_528


def naive_owners(servers: list[str], position: int, vnodes: int = 50) -> tuple[str | None, str | None]:
    """Say who owns a position, from the rules of DESIGN 3 alone, by looking at every virtual node."""
    nodes: dict[int, str] = {}
    for server in servers:
        for i in range(vnodes):
            at = crc32(f"{server}#{i}".encode())
            nodes[at] = max(nodes.get(at, ""), server, key=str.encode)
    clockwise = [nodes[p] for p in sorted(nodes, key=lambda p: (p < position, p))]
    primary = clockwise[0] if clockwise else None
    return primary, next((s for s in clockwise if s != primary), None)


# --- positions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "position"),
    [
        ("123456789", 0xCBF43926),
        ("", 0),
        ("a", 0xE8B7BE43),
        ("/topics/orders", 2_469_991_393),
        ("schlo\u00df", 0xD5D29A4E),
    ],
)
def test_a_key_sits_at_the_ieee_crc_32_of_its_utf8(key: str, position: int) -> None:
    """0xCBF43926 is the check value that every description of CRC-32 (IEEE) gives."""
    assert position_of(key) == position


def test_a_virtual_node_sits_at_the_crc_32_of_server_hash_number() -> None:
    """8860:ring-not-modulo."""
    ring = HashRing(["10.0.0.5:8888.18888"])
    assert (2_733_164_314, "10.0.0.5:8888.18888") in set(ring.virtual_nodes())
    expected = sorted(crc32(b"10.0.0.5:8888.18888#%d" % i) for i in range(50))
    assert [p for p, _ in ring.virtual_nodes()] == expected


@pytest.mark.parametrize("order", [TWINS, TWINS[::-1]])
def test_where_virtual_nodes_collide_the_server_that_sorts_last_owns_the_position(order: tuple[str, ...]) -> None:
    """H3: otherwise two programs that list the servers in another order disagree about who holds a lock."""
    first, last = sorted(TWINS)
    assert crc32(f"{first}#32".encode()) == crc32(f"{last}#10".encode()) == TWIN_POSITION
    assert HashRing(order).owners_at(TWIN_POSITION)[0] == last


def test_a_down_server_keeps_the_positions_it_won_in_a_collision() -> None:
    """H3: were they given to the loser, marking a server down would move keys to somebody who is not its backup."""
    first, last = sorted(TWINS)
    other = "10.0.0.9:8888"
    assert TWIN_POSITION in dict(HashRing([first, other]).virtual_nodes())
    ring = HashRing([first, last, other], down=[last])
    assert TWIN_POSITION not in dict(ring.virtual_nodes())
    for key in KEYS:
        primary, backup = HashRing([first, last, other]).owners(key)
        assert ring.primary(key) == (backup if primary == last else primary)


def test_byte_order_decides_collisions_not_the_order_of_utf16_units() -> None:
    """Go compares bytes; U+FF5E sorts after U+1F600 in UTF-16 and before it in UTF-8."""
    assert HashRing(["\U0001f600:1", "\uff5e:1"]).servers == ("\uff5e:1", "\U0001f600:1")


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_naive_reimplementation_agrees_on_every_key(count: int) -> None:
    ring = HashRing(SERVERS[:count])
    for key in KEYS[:200]:
        assert ring.owners(key) == naive_owners(SERVERS[:count], crc32(key.encode()))


@given(st.sets(st.sampled_from([*SERVERS[:3], *TWINS])), st.integers(0, SPACE - 1), st.integers(1, 4))
def test_a_naive_reimplementation_agrees_on_every_position(servers: set[str], position: int, vnodes: int) -> None:
    assert HashRing(servers, vnodes).owners_at(position) == naive_owners(sorted(servers), position, vnodes)


def test_a_key_exactly_at_a_virtual_node_belongs_to_it_and_the_next_one_further_on_wraps() -> None:
    ring = HashRing(SERVERS[:3])
    nodes = list(ring.virtual_nodes())
    for at, server in nodes:
        assert ring.owners_at(at)[0] == server
    assert ring.owners_at(nodes[-1][0] + 1) == ring.owners_at(nodes[0][0])


# --- who there is -------------------------------------------------------------------


def test_an_empty_ring_has_neither_primary_nor_backup() -> None:
    ring = HashRing([])
    assert ring.owners("k") == (None, None)
    assert ring.arcs == ()
    assert ring.region() == NOWHERE


def test_a_single_server_is_primary_of_everything_and_nobodys_backup() -> None:
    ring = HashRing(SERVERS[:1])
    assert {ring.owners(key) for key in KEYS} == {(SERVERS[0], None)}
    assert ring.region(primary=SERVERS[0]) == EVERYWHERE


def test_two_servers_back_each_other_up() -> None:
    ring = HashRing(SERVERS[:2])
    assert {ring.owners(key) for key in KEYS} == {tuple(SERVERS[:2]), tuple(SERVERS[1::-1])}


@given(SERVER_SETS)
def test_the_backup_is_never_the_primary(servers: set[str]) -> None:
    ring = HashRing(servers)
    for key in KEYS[:200]:
        assert ring.backup(key) not in (None, ring.primary(key))


def test_a_ring_without_virtual_nodes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        HashRing(SERVERS, vnodes=0)


def test_equal_servers_and_down_marks_make_equal_rings() -> None:
    """8860:ring-agreement. H2: who computes the ring from the same view computes the same ring."""
    ring = HashRing(SERVERS[:3], down=SERVERS[:1])
    twin = HashRing([*reversed(SERVERS[:3]), SERVERS[0]], down=[SERVERS[0], "10.9.9.9:1"])
    assert ring == twin
    assert hash(ring) == hash(twin)
    assert list(ring.virtual_nodes()) == list(twin.virtual_nodes())
    assert ring != HashRing(SERVERS[:3])
    assert ring != HashRing(SERVERS[:3], vnodes=49, down=SERVERS[:1])
    assert ring.__eq__("ring") is NotImplemented
    assert "10.0.0.3" in repr(ring)


# --- what moves ----------------------------------------------------------------------


@given(SERVER_SETS, st.randoms(use_true_random=False))
def test_removing_a_server_moves_only_its_keys_and_each_to_its_backup(servers: set[str], chance: Random) -> None:
    """H1: the backup has the locks already, so a takeover needs nothing from the server that is gone.

    8860:only-removed-keys-move, 8860:successor-takes-over.
    """
    before = HashRing(servers)
    gone = chance.choice(sorted(servers))
    after = HashRing(servers - {gone})
    marked = HashRing(servers, down=[gone])
    for key in KEYS[:300]:
        primary, backup = before.owners(key)
        expected = backup if primary == gone else primary
        assert after.primary(key) == expected
        assert marked.primary(key) == expected


@given(SERVER_SETS, st.sampled_from([f"10.0.1.{i}:8888" for i in range(5)]))
def test_adding_a_server_moves_keys_to_it_only(servers: set[str], new: str) -> None:
    before, after = HashRing(servers), HashRing({*servers, new})
    for key in KEYS[:300]:
        assert after.primary(key) in (new, before.primary(key))
        if after.primary(key) == new:
            assert after.backup(key) == before.primary(key)


def test_marking_down_and_removing_give_the_same_owners() -> None:
    """The version of a ring may follow a death a second later: nothing moves a second time."""
    for gone in SERVERS[:4]:
        marked = HashRing(SERVERS[:4], down=[gone])
        removed = HashRing([s for s in SERVERS[:4] if s != gone])
        assert [marked.owners(k) for k in KEYS] == [removed.owners(k) for k in KEYS]
        assert marked.diff(removed).moves == ()


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_keys_are_shared_out_evenly_within_a_factor_of_two(count: int) -> None:
    """50 virtual nodes give a spread of about 1/sqrt(50) = 14 %; a factor of two would be a fault, not chance.

    8860:ring-balance.
    """
    ring = HashRing(SERVERS[:count])
    fair = 1 / count
    for server in SERVERS[:count]:
        assert 0.5 * fair < ring.region(primary=server).share < 2 * fair


# --- arcs and differences ----------------------------------------------------------------


@given(st.sets(st.sampled_from([*SERVERS, *TWINS])), st.sets(st.sampled_from(SERVERS), max_size=2))
def test_arcs_cover_the_circle_exactly_and_say_who_owns_what(servers: set[str], down: set[str]) -> None:
    """The page draws these: a gap or an overlap would be a picture of another ring."""
    ring = HashRing(servers, down=down)
    if not servers - down:
        assert ring.arcs == ()
        return
    assert ring.arcs[0].start == 0
    assert ring.arcs[-1].stop == SPACE
    for here, following in zip(ring.arcs, ring.arcs[1:], strict=False):
        assert here.stop == following.start
        assert (here.primary, here.backup) != (following.primary, following.backup)
    assert abs(sum(arc.share for arc in ring.arcs) - 1) < 1e-9
    for arc in ring.arcs:
        for position in (arc.start, (arc.start + arc.stop) // 2, arc.stop - 1):
            assert ring.owners_at(position) == (arc.primary, arc.backup)


def test_regions_by_role_agree_with_the_owners_of_each_key() -> None:
    ring = HashRing(SERVERS[:4])
    regions = {(p, b): ring.region(primary=p, backup=b) for p in SERVERS[:4] for b in SERVERS[:4] if p != b}
    for key in KEYS[:300]:
        assert [pair for pair, region in regions.items() if position_of(key) in region] == [ring.owners(key)]
    assert {pair: region for pair, region in regions.items() if region} == ring.pairs()
    assert ring.region() == EVERYWHERE


def test_a_ring_does_not_differ_from_itself() -> None:
    ring = HashRing(SERVERS[:3])
    assert ring.diff(HashRing(SERVERS[:3])).moves == ()
    assert ring.diff(ring).share == 0
    assert HashRing([]).diff(HashRing([])).moves == ()


def test_the_first_server_gets_the_whole_circle_from_nobody() -> None:
    diff = HashRing([]).diff(HashRing(SERVERS[:1]))
    assert diff.shares() == {(None, SERVERS[0]): 1.0}


@given(SERVER_SETS, SERVER_SETS)
def test_a_difference_names_exactly_the_positions_whose_primary_differs(a: set[str], b: set[str]) -> None:
    before, after = HashRing(a, vnodes=5), HashRing(b, vnodes=5)
    diff = before.diff(after)
    edges = {p for ring in (before, after) for p, _ in ring.virtual_nodes()}
    for position in sorted(edges | {(p + 1) % SPACE for p in edges}):
        found = [(m.source, m.target) for m in diff.moves if m.start <= position < m.stop]
        source, target = before.owners_at(position)[0], after.owners_at(position)[0]
        assert found == ([(source, target)] if source != target else [])


def test_the_shares_of_a_difference_are_those_of_a_brute_force_count() -> None:
    """Positions 4 million apart: 1,024 samples give each share within about 1.5 %."""
    before, after = HashRing(SERVERS[:4]), HashRing([*SERVERS[1:4], SERVERS[5]])
    diff = before.diff(after)
    counted: dict[tuple[str | None, str | None], int] = {}
    samples = range(2_000_003, SPACE, SPACE // 4_096)
    for position in samples:
        pair = (before.owners_at(position)[0], after.owners_at(position)[0])
        if pair[0] != pair[1]:
            counted[pair] = counted.get(pair, 0) + 1
    assert diff.shares().keys() >= counted.keys()
    for pair, share in diff.shares().items():
        assert share == pytest.approx(counted.get(pair, 0) / len(samples), abs=0.02)
    assert diff.share == pytest.approx(sum(diff.shares().values()))
