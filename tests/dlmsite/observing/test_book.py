"""What was seen, as rows."""

import pytest

from dlmsite.observing import book
from dlmsite.observing.models import ObservedCluster, ObservedEvent, ObservedFiler, ObservedRing
from dlmsite.observing.naming import read_observe
from dlmsite.observing.sight import Fact, Sight
from lockcore.wire.seaweed_client import MasterTold, NodeUpdate, RingUpdate

pytestmark = pytest.mark.django_db

A, B, C = (f"10.0.0.{i}:8888.18888" for i in (11, 12, 13))


def attached(text: str = "prod=m1:9333") -> ObservedCluster:
    return book.attach(read_observe(text), "ada")


def tell(row: ObservedCluster, *told: MasterTold, sight: Sight | None = None) -> Sight:
    sight = sight or Sight(row.group)
    facts: list[Fact] = []
    for one in told:
        facts += sight.told("m1:19333", one, 1_000)
    connected = None if sight.connected is None else frozenset(sight.connected)
    version = 0 if sight.ring is None else sight.ring.version
    book.write(row.pk, facts, book.State(sight.state, sight.leader, sight.problem, 5, connected, version))
    return sight


def ring(version: int, *servers: str) -> MasterTold:
    return MasterTold(ring=RingUpdate("", servers, version))


def test_versions_filers_and_events_are_written_together() -> None:
    row = attached()
    sight = tell(row, ring(5, A, B))
    tell(row, ring(6, B, C), MasterTold(node=NodeUpdate("filer", B, True, "", 0)), sight=sight)
    assert list(ObservedRing.objects.values_list("version", "servers")) == [(5, [A, B]), (6, [B, C])]
    filers = {f.address: (f.number, f.on_ring, f.connected) for f in ObservedFiler.objects.all()}
    assert filers == {A: (1, False, False), B: (2, True, True), C: (3, True, False)}
    kinds = list(ObservedEvent.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["attached", "leader", "ring", "joined", "joined", "ring", "joined", "left", "connected"]
    assert book.last_ring(row.pk, "") == RingUpdate("", (B, C), 6)
    assert ObservedCluster.objects.get().state == "following"


def test_a_filer_keeps_its_number_when_it_comes_back() -> None:
    """Its colour is how people know it again."""
    row = attached()
    sight = tell(row, ring(5, A, B))
    tell(row, ring(6, B), ring(7, A, B, C), sight=sight)
    assert dict(ObservedFiler.objects.values_list("address", "number")) == {A: 1, B: 2, C: 3}


def test_a_version_with_the_same_members_is_no_row_of_its_own() -> None:
    """S4: masters renew the version twice a minute, which would be a million rows a year."""
    row = attached()
    sight = tell(row, ring(5, A, B))
    tell(row, ring(6, B, A), ring(7, A, B), sight=sight)
    assert list(ObservedRing.objects.values_list("version", "renewed")) == [(5, 7)]
    assert ObservedEvent.objects.filter(kind="ring").count() == 1
    assert book.last_ring(row.pk, "") == RingUpdate("", (A, B), 7)


def test_each_row_belongs_to_its_cluster() -> None:
    one, two = attached(), attached("other=m9:9333/blue")
    tell(one, ring(5, A))
    tell(two, MasterTold(ring=RingUpdate("blue", (A, B), 5)))
    assert ObservedRing.objects.get(cluster=one).servers == [A]
    assert ObservedRing.objects.get(cluster=two).servers == [A, B]
    assert ObservedFiler.objects.filter(cluster=two).count() == 2


def test_a_name_is_one_cluster_until_it_is_detached_and_its_rows_stay() -> None:
    row = attached()
    tell(row, ring(5, A))
    assert attached().pk == row.pk
    with pytest.raises(book.AttachProblem, match="watched already, at m1:9333"):
        attached("prod=m2:9333")
    assert book.attach(read_observe("prod=m2:9333"), "--observe", replace=True).pk == row.pk
    assert book.detach(row, "ada")
    assert not book.detach(row, "ada")
    assert book.attached() == []
    assert ObservedRing.objects.count() == 1
    assert attached("prod=m3:9333").pk == row.pk


def test_no_more_clusters_are_watched_than_the_site_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "CLUSTERS_MAX", 2)
    attached("a=m1:9333")
    attached("b=m2:9333")
    with pytest.raises(book.AttachProblem, match="Detach one first"):
        attached("c=m3:9333")


def test_what_is_too_much_goes_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "EVENTS_KEPT", 3)
    monkeypatch.setattr(book, "RINGS_KEPT", 2)
    monkeypatch.setattr(book, "FILERS_KEPT", 0)
    row, other = attached(), attached("other=m9:9333")
    tell(other, ring(1, A))
    sight = tell(row, ring(5, A))
    for version in (6, 7, 8):
        tell(row, ring(version, B if version % 2 else C), sight=sight)
    book.prune(row.pk)
    assert list(ObservedRing.objects.filter(cluster=row).values_list("version", flat=True)) == [7, 8]
    assert ObservedEvent.objects.filter(cluster=row).count() == 3
    assert list(ObservedFiler.objects.filter(cluster=row).values_list("address", flat=True)) == [C]
    assert ObservedRing.objects.filter(cluster=other).count() == 1
