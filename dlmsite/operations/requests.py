"""Asking for actions, claiming them, saying how they ended: the rows of OperatorAction.

Synchronous. The page asks, in whatever process it runs; the supervisor's process looks for requests and claims them.

Invariants
  O1  Every step is one UPDATE that names the state before (compare and set): of two who claim, one gets it.
Elsewhere: doing (helm), who may ask (dlmsite.dashboard).
"""

import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from dlmsite.operations.models import ActionState, ChangePlan, Helm, OperatorAction

DETAIL_CHARS_MAX: Final = 1000
PRESENT_NS: Final = 5_000_000_000
"""A supervisor that has not written for so long is not there."""
OPEN: Final = (ActionState.REQUESTED, ActionState.RUNNING)
CHANGES: Final = ("kill", "stop", "restart", "add", "pause", "resume", "isolate", "heal")
"""What may change the ring."""
STALE_NS: Final = 30_000_000_000
"""Nobody expects a request this old to be carried out any more."""


def ask(
    who: str, what: str, target: str, *, options: dict[str, object] | None = None, detail: str = ""
) -> OperatorAction:
    """Write a request down, with how it is to be done, for programs and in words."""
    return OperatorAction.objects.create(
        who=who, what=what, target=target, options=options or {}, detail=detail, requested_at_ns=time.time_ns()
    )


def refuse(who: str, what: str, target: str, why: str) -> OperatorAction:
    """Write down that somebody asked for what they may not have, or what is not possible."""
    return _note_ended(who, what, target, why, time.time_ns(), state=ActionState.FAILED)


def note_done(who: str, what: str, target: str, detail: str) -> OperatorAction:
    """Write down what somebody has done that needed no supervisor."""
    now_ns = time.time_ns()
    return _note_ended(who, what, target, detail, now_ns, state=ActionState.DONE, started_at_ns=now_ns)


def _note_ended(who: str, what: str, target: str, detail: str, now_ns: int, **more: Any) -> OperatorAction:
    return OperatorAction.objects.create(
        who=who,
        what=what,
        target=target[:64],
        detail=detail[:DETAIL_CHARS_MAX],
        requested_at_ns=now_ns,
        ended_at_ns=now_ns,
        **more,
    )


def claim() -> list[OperatorAction]:
    """Take the requests that nobody else takes, oldest first."""
    return [
        action
        for action in OperatorAction.objects.filter(state=ActionState.REQUESTED).order_by("id")[:16]
        if _step(action.pk, ActionState.REQUESTED, state=ActionState.RUNNING, started_at_ns=time.time_ns())
    ]


@dataclass(frozen=True, slots=True)
class Reach:
    """What an action may have caused: views above `view_from`, up to `view_to` while it ran, that touch `address`."""

    address: str = ""
    view_from: int | None = None
    view_to: int | None = None


def finish(action_id: int, *, done: bool, detail: str, target: str, reach: Reach | None = None) -> bool:
    """Say how a running action ended, and what it may have caused; False if it was not running."""
    return _step(
        action_id,
        ActionState.RUNNING,
        state=ActionState.DONE if done else ActionState.FAILED,
        detail=detail[:DETAIL_CHARS_MAX],
        target=target,
        ended_at_ns=time.time_ns(),
        **asdict(reach or Reach()),
    )


def abandon() -> None:
    """At the supervisor's start: end what its predecessor left, and requests that are too old to be meant."""
    now_ns = time.time_ns()
    OperatorAction.objects.filter(state=ActionState.RUNNING).update(
        state=ActionState.FAILED,
        detail="the site ended while this was running: look at the node's state",
        ended_at_ns=now_ns,
    )
    old = OperatorAction.objects.filter(state=ActionState.REQUESTED, requested_at_ns__lt=now_ns - STALE_NS)
    old.update(state=ActionState.FAILED, detail="no supervisor was running", ended_at_ns=now_ns)


@dataclass(frozen=True, slots=True)
class Before:
    """What of a plan comes before an action: how many have not ended, one that has failed, how they follow."""

    open: int
    failed: str | None
    pace: str


def waves_before(action: OperatorAction) -> Before:
    """Return how the waves before an action of a plan are doing."""
    earlier = OperatorAction.objects.filter(plan_id=action.plan_id, wave__lt=action.wave).order_by("id")
    failed = next((f"{row.what} {row.target}".strip() for row in earlier if row.state == ActionState.FAILED), None)
    pace = ChangePlan.objects.filter(actions=action).values_list("pace", flat=True).first()
    return Before(sum(row.state in OPEN for row in earlier), failed, pace or "")


def plan_ended(plan_id: int) -> bool:
    """Say whether all actions of a plan have ended."""
    return not OperatorAction.objects.filter(plan_id=plan_id, state__in=OPEN).exists()


def open_changes() -> OperatorAction | None:
    """Return an action on any node that has not ended."""
    return OperatorAction.objects.filter(what__in=CHANGES, state__in=OPEN).order_by("id").first()


def open_action_on(target: str) -> OperatorAction | None:
    """Return an action on the target that has not ended."""
    return OperatorAction.objects.filter(target=target, state__in=OPEN).order_by("-id").first()


def open_action(what: str) -> OperatorAction | None:
    """Return an action of a kind that has not ended."""
    return OperatorAction.objects.filter(what=what, state__in=OPEN).order_by("-id").first()


def present_helm() -> Helm | None:
    """Return the supervisor's row if it is there."""
    return Helm.objects.filter(pk=1, at_ns__gte=time.time_ns() - PRESENT_NS).first()


def note_helm(*, available: bool, on: bool) -> None:
    """The supervisor is there, and this is how its workload is."""
    values = {"at_ns": time.time_ns(), "workload_available": available, "workload_on": on}
    if not Helm.objects.filter(pk=1).update(**values):
        Helm.objects.create(pk=1, **values)


def _step(action_id: int, before: ActionState, **values: object) -> bool:
    return OperatorAction.objects.filter(pk=action_id, state=before).update(**values) == 1
