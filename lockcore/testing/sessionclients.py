"""Simulated programs that work in sessions: locks with and without waiting, byte ranges, migration.

A program has one session at a time, extends it (sometimes late, sometimes not
at all), and several workers that share it. An operation that is not answered
is asked again with the same id, at any node, until something settles it; what
was settled is sometimes asked once more all the same, or at two nodes at once.
From time to time a program opens another session, and takes over what the old
one held, which may still live, have lapsed, or have gone.

It believes as a careful client does: in its session until send time + ttl -
margin of the last keep-alive that was answered in time, and in a lock as long
as in the session.

Elsewhere: how they ask (sessionasking), clients with tokens (clients), the verdict (sessionhistory).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lockcore.core.limits import NS_PER_MS
from lockcore.core.messages import (
    ClearRange,
    Code,
    EndSession,
    FindConflict,
    Granted,
    KeepAlive,
    Lock,
    Move,
    MoveRanges,
    OpenSession,
    RangeLocked,
    Refused,
    SessionEnded,
    SessionIs,
    SetRange,
    Unlock,
)
from lockcore.core.rangerecords import Kind
from lockcore.testing.sessionasking import LAST, Asking, Manners, Wish, Work, span_length
from lockcore.testing.sessionrecord import Asked, Deal, Life

if TYPE_CHECKING:
    from collections.abc import Generator

    from lockcore.core.messages import Result
    from lockcore.testing.sessionrecord import SessionHistory
    from lockcore.testing.world import World


class Program(Asking):
    """One client process with a session.

    Args:
        manners: how it behaves, by the world's chance.
        stop_ns: when it begins nothing new any more (true time).
    """

    def __init__(self, world: World, name: str, manners: Manners, history: SessionHistory, stop_ns: int) -> None:
        """Start working soon."""
        super().__init__(world, name, manners, history, stop_ns)
        self.life: Life | None = None
        self.stays = world.random.random() < manners.stays
        world.after(world.random.uniform(0, 200), partial(self.start, self._lead()))

    # --- the session ---------------------------------------------------------------------

    def _lead(self) -> Work:
        """Live one session after the other."""
        while not self.stopped():
            old = self.life
            life = yield from self._open(old)
            if life is None:
                continue
            self.start(self._keep(life))
            if old is not None:
                yield from self._take_over(life, old)
            self._set_to_work(life)
            switch_ns = self.world.now_ns + int(self.world.random.uniform(*self.manners.switch_ms) * NS_PER_MS)
            while life.alive(self.world.now_ns) and self.world.now_ns < switch_ns and not life.silent:
                yield self.sleep(30)
                if self.stopped() and life.alive(self.world.now_ns):
                    break
            if self.stopped():
                break
            life.frozen = True
            if life.silent:  # another process notices, sooner or later
                yield self.sleep(1, life.ttl_ms * 2 + 1_500)
        if self.life is not None and not self.stays and self.chance(0.5):
            yield self.sleep(1, 500)
            self.life.frozen = True
            yield from self._end(self.life)

    def _set_to_work(self, life: Life) -> None:
        self.life = life
        for _ in range(self.manners.workers):
            self.start(self._work(life))
        for number in range(self.manners.owners):
            self.start(self._range(life, f"o{number}"))
        places, self.places = self.places, []
        for place in places:
            self.start(self._wait_on(life, place))

    def _open(self, old: Life | None) -> Generator[Wish, None, Life | None]:
        ttl_ms = self.world.random.choice(self.manners.ttls_ms)
        again = old.proof if old is not None and self.chance(0.3) else None
        sent_ns = self.world.now_ns
        answer: list[Result] = []
        yield self.send(OpenSession(self.name, ttl_ms, again), answer)
        found = next((r for r in answer if isinstance(r, SessionIs)), None)
        if found is None:
            yield self.sleep(5, 200)
            return None
        until_ns = sent_ns + self._lease_ns(ttl_ms)
        life = Life(self.name, found.session, ttl_ms, self.world.now_ns, until_ns)
        self.history.lives.append(life)
        return life

    def _lease_ns(self, ttl_ms: int) -> int:
        return int(ttl_ms * NS_PER_MS * (1 - self.history.margin))

    def _keep(self, life: Life) -> Work:
        """Extend the session as long as it is wanted."""
        while life.alive(self.world.now_ns):
            if not self.stopped() and self.chance(self.manners.silent):
                life.silent = True
                return
            share = self.world.random.choice((0.2, 0.3, 0.4, 0.9 if not self.stopped() else 0.2))
            yield self.sleep(life.ttl_ms * share)
            for _ in range(8):
                if not life.alive(self.world.now_ns):
                    return
                sent_ns, answer = self.world.now_ns, list[Any]()
                yield self.send(KeepAlive(life.proof, life.ttl_ms, self.name), answer, life.ttl_ms / 6)
                if answer and self._kept(life, sent_ns, answer[0]):
                    break
                yield self.sleep(1, 40)

    def _kept(self, life: Life, sent_ns: int, answer: Result) -> bool:
        if isinstance(answer, SessionIs) and life.alive(self.world.now_ns):
            life.until_ns = max(life.until_ns, sent_ns + self._lease_ns(life.ttl_ms))
            return True
        if isinstance(answer, Refused) and answer.code is Code.SESSION_LOST:
            self.lost(life, "keep-alive")
        return False

    def _end(self, life: Life) -> Work:
        life.end_asked_ns = min(life.end_asked_ns, self.world.now_ns)
        for _ in range(20):
            answer: list[Result] = []
            yield self.send(EndSession(life.proof), answer)
            if answer and isinstance(answer[0], SessionEnded):
                life.end_told_ns = min(life.end_told_ns, self.world.now_ns)
                yield from self._haunt(life)
                return
            if answer and isinstance(answer[0], Refused) and answer[0].code is Code.SESSION_LOST:
                return
            yield self.sleep(5, 60)

    def _haunt(self, life: Life) -> Work:
        """Go on asking in a session that has ended: nothing may come of it."""
        if self.manners.keys and self.chance(0.5):
            key, op_id = self.world.random.choice(self.manners.keys), next(self.ops)
            message = Lock(key, 5_000, f"{self.name}/{op_id}", "", life.proof, op_id)
            yield from self.carry_out(self.deal(life, op_id, Asked.LOCK, key, message))
        if self.manners.files and self.chance(0.5):
            key, op_id = self.world.random.choice(self.manners.files), next(self.ops)
            take = SetRange(key, life.proof, op_id, "o0", Kind.READ, 0, 1)
            deal = self.deal(life, op_id, Asked.SET, key, take)
            deal.lock_owner, deal.kind = "o0", Kind.READ
            yield from self.carry_out(deal)

    # --- taking over ---------------------------------------------------------------------------

    def _take_over(self, life: Life, old: Life) -> Work:
        """Move what the old session holds, key by key, while the new one is kept alive."""
        held = sorted(
            {d.key for d in self.history.deals if d.life is old and d.did in (Asked.LOCK, Asked.MOVE) and d.ok}
        )
        for key in held:
            if self.chance(0.8):
                yield from self._move(life, old, key)
        for key in self.manners.files:
            if self.chance(0.7):
                yield from self._migrate(life, old, key)
        if self.chance(0.5):
            yield from self._end(old)

    def _move(self, life: Life, old: Life, key: str) -> Work:
        require = self.chance(0.4)
        op_id = next(self.ops)
        message = Move(key, self.name, life.proof, op_id, old.proof, require)
        deal = self.deal(life, op_id, Asked.MOVE, key, message)
        deal.old = old
        yield from self.carry_out(deal)
        if isinstance(deal.result, Granted):
            self.start(self._hold(deal))

    def _migrate(self, life: Life, old: Life, key: str) -> Work:
        chance = self.world.random
        op_id = next(self.ops)
        first, last = (0, LAST) if self.chance(0.6) else self._span()
        lock_owner = None if self.chance(0.6) else f"o{chance.randrange(self.manners.owners)}"
        kind = None if lock_owner is None or self.chance(0.6) else chance.choice(tuple(Kind))
        message = MoveRanges(
            key, life.proof, op_id, old.proof, lock_owner, first, span_length(first, last), kind,
            gaps=kind is not None and self.chance(0.4), require_held=self.chance(0.3),
            fair=self.chance(self.manners.fair),
        )  # fmt: skip
        deal = self.deal(life, op_id, Asked.MIGRATE, key, message)
        deal.old, deal.lock_owner, deal.kind, deal.first, deal.last = old, lock_owner, kind, first, last
        yield from self.carry_out(deal)

    # --- named locks -----------------------------------------------------------------------------

    def _work(self, life: Life) -> Work:
        manners, chance = self.manners, self.world.random
        yield self.sleep(1, 80)
        while self._may_begin(life) and manners.keys:
            key, wait_ms = chance.choice(manners.keys), chance.choice(manners.waits_ms)
            delay_ms = 300 if self.chance(manners.delay) else 0
            op_id = next(self.ops)
            message = Lock(key, 5_000, f"{self.name}/{op_id}", "", life.proof, op_id, wait_ms, delay_ms)
            deal = self.deal(life, op_id, Asked.LOCK, key, message)
            deal.wait_ms = wait_ms
            yield from self._acquire(deal)
            yield self.sleep(*manners.rests_ms)

    def _may_begin(self, life: Life) -> bool:
        return life.alive(self.world.now_ns) and not life.frozen and not life.silent and not self.stopped()

    def _acquire(self, deal: Deal) -> Work:
        yield from self.carry_out(deal, self.manners.give_up if deal.wait_ms != 0 else 0.0)
        if isinstance(deal.result, Granted):
            yield from self._hold(deal)
        elif deal.result is None and deal.life.alive(self.world.now_ns) and not deal.life.frozen:
            yield from self._unlock(deal)

    def _hold(self, deal: Deal) -> Work:
        life = deal.life
        if self.chance(self.manners.again):
            yield self.sleep(0, 200)
            yield from self.ask_again(deal)
        until_ns = self.world.now_ns + self.world.random.choice(self.manners.holds_ms) * NS_PER_MS
        while self._holds_on(life, until_ns):
            yield self.sleep(20, 60)
        if not life.alive(self.world.now_ns) or life.frozen or life.silent:
            return
        yield from self._unlock(deal)
        if self.chance(self.manners.again):
            yield self.sleep(0, 100)
            yield from self.ask_again(deal)

    def _holds_on(self, life: Life, until_ns: int) -> bool:
        """Say whether a lock is still wanted: for its time, or to the end of the run."""
        if not life.alive(self.world.now_ns) or life.frozen or life.silent:
            return False
        return self.world.now_ns < until_ns or (self.stopped() and self.stays)

    def _wait_on(self, life: Life, place: Deal) -> Work:
        """Ask again for what the old session waited for: its place may have moved here."""
        message = Lock(place.key, 5_000, self.name, "", life.proof, place.op_id, 500)
        deal = self.deal(life, place.op_id, Asked.LOCK, place.key, message)
        deal.wait_ms, deal.place = 500, place
        yield from self._acquire(deal)

    def _unlock(self, deal: Deal) -> Work:
        op_id = next(self.ops)
        message = Unlock(deal.key, "", deal.life.proof, deal.op_id)
        unlock = self.deal(deal.life, op_id, Asked.UNLOCK, deal.key, message)
        unlock.wanted = deal.op_id
        yield from self.carry_out(unlock)

    # --- byte ranges ---------------------------------------------------------------------------------

    def _span(self) -> tuple[int, int]:
        first = self.world.random.randrange(LAST)
        last = min(LAST - 1, first + self.world.random.choice((0, 1, 3)))
        return first, LAST if self.chance(0.15) else last

    def _range(self, life: Life, lock_owner: str) -> Work:
        """One owner's life with a few bytes: one thing after the other."""
        manners, chance = self.manners, self.world.random
        yield self.sleep(1, 80)
        while self._may_begin(life) and manners.files:
            key = chance.choice(manners.files)
            what = chance.random()
            if what < 0.55:  # noqa: PLR2004 - shares
                yield from self._set(life, lock_owner, key)
            elif what < 0.62:  # noqa: PLR2004 - shares
                yield self._look(life, lock_owner, key)
            else:
                yield from self._clear(life, lock_owner, key, *((0, LAST) if self.chance(0.5) else self._span()))
            yield self.sleep(*manners.rests_ms)
        yield self.sleep(1, 500)
        if life.alive(self.world.now_ns) and not (life.frozen or life.silent or self.stays):
            for key in manners.files:
                yield from self._clear(life, lock_owner, key, 0, LAST)

    def _set(self, life: Life, lock_owner: str, key: str) -> Work:
        manners, chance = self.manners, self.world.random
        op_id, (first, last) = next(self.ops), self._span()
        kind, wait_ms, fair = chance.choice(tuple(Kind)), chance.choice(manners.waits_ms), self.chance(manners.fair)
        message = SetRange(key, life.proof, op_id, lock_owner, kind, first, span_length(first, last), wait_ms, fair)
        deal = self.deal(life, op_id, Asked.SET, key, message)
        deal.wait_ms, deal.fair = wait_ms, fair
        deal.lock_owner, deal.kind, deal.first, deal.last = lock_owner, kind, first, last
        yield from self.carry_out(deal, manners.give_up if wait_ms != 0 else 0.0)
        if deal.result is None and life.alive(self.world.now_ns) and not life.frozen:
            leave_id = next(self.ops)
            leaving = ClearRange(key, life.proof, leave_id, lock_owner, wanted=op_id)
            leave = self.deal(life, leave_id, Asked.LEAVE, key, leaving)
            leave.wanted, leave.lock_owner = op_id, lock_owner
            yield from self.carry_out(leave)
            yield from self._clear(life, lock_owner, key, first, last)
        elif isinstance(deal.result, RangeLocked) and self.chance(manners.again):
            yield self.sleep(0, 100)
            yield from self.ask_again(deal)

    def _clear(self, life: Life, lock_owner: str, key: str, first: int, last: int) -> Work:
        op_id = next(self.ops)
        message = ClearRange(key, life.proof, op_id, lock_owner, first, span_length(first, last))
        deal = self.deal(life, op_id, Asked.CLEAR, key, message)
        deal.lock_owner, deal.first, deal.last = lock_owner, first, last
        yield from self.carry_out(deal)

    def _look(self, life: Life, lock_owner: str, key: str) -> Wish:
        first, last = self._span()
        kind = self.world.random.choice(tuple(Kind))
        message = FindConflict(key, life.proof, lock_owner, kind, first, span_length(first, last))
        return self.send(message, [])
