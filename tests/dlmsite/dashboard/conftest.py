"""People with roles, and a cluster's rows."""

import time
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dlmsite.access.roles import Role, give_role
from dlmsite.journal.models import HeldLock, LockEvent, Node, RingVersion
from dlmsite.journal.writer import digest_of
from dlmsite.operations import requests
from dlmsite.operations.models import Helm

VIEW = 1_790_000_000_000_000_123
GENERATION = 1_790_000_000_000_000_777
HOUR_NS = 3_600_000_000_000
"""A test that waits for its turn on a busy machine must not find rows too old."""
ADDRESSES = {f"n{i}": f"127.0.0.1:{8000 + i}.{18000 + i}" for i in (1, 2, 3)}


@pytest.fixture
def people(db: None) -> dict[str, User]:  # noqa: ARG001 - rows need the database
    """An operator, a viewer, and somebody without a role."""
    found = {name: User.objects.create_user(name) for name in ("ada", "eve", "nobody")}
    give_role(found["ada"], Role.OPERATOR)
    give_role(found["eve"], Role.VIEWER)
    return found


@pytest.fixture
def as_user(people: dict[str, User]) -> Callable[[str], Client]:
    """Return a browser of somebody who is logged in."""

    def login(name: str) -> Client:
        client = Client()
        client.force_login(people[name])
        return client

    return login


@pytest.fixture
def cluster(db: None) -> None:  # noqa: ARG001 - rows need the database
    """Three nodes, n3 killed; one view; a supervisor that is there."""
    now_ns = time.time_ns()
    for i, (label, address) in enumerate(ADDRESSES.items()):
        killed = label == "n3"
        Node.objects.create(
            label=label,
            address=address,
            color=i,
            incarnation=5,
            pid=None if killed else 100 + i,
            state="killed" if killed else "up",
            view=VIEW,
            heartbeat_at_ns=now_ns,
            updated_at_ns=now_ns,
        )
    members = [{"address": a, "incarnation": "5", "down": label == "n3"} for label, a in ADDRESSES.items()]
    RingVersion.objects.create(number=VIEW, version=VIEW - 1, members=members, at_ns=now_ns, settled_at_ns=now_ns)
    requests.note_helm(available=True, on=False)
    Helm.objects.update(at_ns=now_ns + HOUR_NS)


def add_events(count: int, key: str = "k", kind: str = "granted") -> list[int]:
    """Add events after those that are there; return their ids."""
    last = LockEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
    LockEvent.objects.bulk_create(
        LockEvent(
            source=ADDRESSES["n1"],
            incarnation=5,
            number=last + i + 1,
            wall_ns=time.time_ns(),
            kind=kind,
            key=key,
            position=0x8F4C2EAD if key == "k" else 1,
            owner="ada",
            generation=GENERATION,
            seq=1,
        )
        for i in range(count)
    )
    return list(LockEvent.objects.filter(id__gt=last).order_by("id").values_list("id", flat=True))


def hold(key: str) -> None:
    """Let n1 hold a lock."""
    HeldLock.objects.create(
        digest=digest_of(key), key=key, node=ADDRESSES["n1"], incarnation=5, owner="ada", generation=GENERATION,
        seq=2, order_ns=1, since_ns=2_000_000, ttl_ms=7000,
    )  # fmt: skip
