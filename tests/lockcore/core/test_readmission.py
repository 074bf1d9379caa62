"""After a double failure nobody may know the newest state of a lock: which token wins, and what stays wrong how long.

Elsewhere: the grace itself (test_serving_waits), whose region it is (test_ledger).
"""

from __future__ import annotations

from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import Code, FindOwner, Lock, OwnerIs
from lockcore.core.region import EVERYWHERE
from lockcore.core.tokens import TokenClaims, TokenMint
from lockcore.core.view import Grace
from tests.lockcore.core.bench import SECRET, Bench, granted, record, refused

GRACE_MS = 30_000
OLD, NEW = 50, 90


def after_a_double_failure() -> tuple[Bench, str]:
    """Return a node in a grace, complete for all that is left to know, and a key of its own."""
    bench = Bench()
    bench.view(grace=Grace(EVERYWHERE, GRACE_MS))
    bench.seal()
    bench.take_in_all()
    return bench, bench.key("a:1")


def token_of(bench: Bench, key: str, generation: int, owner: str) -> str:
    """Return what the dead primary gave to a holder."""
    expires_ms = bench.now.wall_ns // NS_PER_MS + 20_000
    return TokenMint(SECRET).make(key, TokenClaims(generation, 3, expires_ms, owner))


def test_a_newer_holder_takes_the_place_of_an_older_copy() -> None:
    """The copy is of a lock that was released: only so can a newer generation have been granted."""
    bench, key = after_a_double_failure()
    bench.send("b:2", transfers=(record(key, OLD),))
    bench.take_in_all()
    assert refused(bench.acquire(key, "bob")).owner == "eve"
    answer = granted(bench.renew(key, token_of(bench, key, NEW, "ada")))
    assert (answer.generation, answer.owner) == (NEW, "ada")


def test_an_older_token_takes_nothing_from_a_newer_holder() -> None:
    """Tokens arrive in any order; the highest generation wins, whichever was first."""
    bench, key = after_a_double_failure()
    granted(bench.renew(key, token_of(bench, key, NEW, "ada")))
    assert refused(bench.renew(key, token_of(bench, key, OLD, "eve"))).code is Code.TOKEN_MISMATCH
    assert isinstance(found := bench.ask(FindOwner(key)), OwnerIs)
    assert (found.owner, found.generation) == ("ada", NEW)


def test_a_release_that_died_with_both_owners_keeps_others_out_until_the_lease_ends() -> None:
    """A limit, said in docs/guarantees.md: the copy is older than the release, and nobody living knows better."""
    bench, key = after_a_double_failure()
    bench.send("b:2", transfers=(record(key, OLD, remaining_ms=GRACE_MS + 5_000),))
    bench.take_in_all()
    bench.live(GRACE_MS + 4_000)
    assert isinstance(bench.ask(FindOwner(key)), OwnerIs)
    assert refused(bench.acquire(key, "bob")).code is Code.HELD
    bench.live(2_000)
    assert granted(bench.acquire(key, "bob")).generation > OLD


def test_a_token_whose_release_died_with_both_owners_is_good_for_its_sender_alone() -> None:
    """A limit, said in docs/guarantees.md: who released and sends the token once more has the lock again."""
    bench, key = after_a_double_failure()
    released = token_of(bench, key, NEW, "ada")
    assert granted(bench.ask(Lock(key, 5_000, "ada", released))).generation == NEW
    assert refused(bench.acquire(key, "bob")).code is Code.HELD
