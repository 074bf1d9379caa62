"""How things are now, as rows say: what the page and the runner ask before a scenario begins.

Synchronous. Elsewhere: what that means for a scenario (needs).
"""

import time
from typing import Final

from dlmsite.journal.models import MasterSight, Node, RingVersion
from dlmsite.operations import holdrows, requests
from dlmsite.operations.models import ActionState, OperatorAction
from dlmsite.operations.scenarios import rows
from dlmsite.operations.scenarios.catalog import SCENARIOS
from dlmsite.operations.scenarios.facts import in_order
from dlmsite.operations.scenarios.needs import Situation

TRY: Final = "try"
"""The action by which somebody asks for a scenario."""
OPEN: Final = (ActionState.REQUESTED, ActionState.RUNNING)
ON_NODES: Final = ("kill", "stop", "restart", "add", "pause", "resume", "isolate", "heal")
FRESH_NS: Final = 3_000_000_000
ENDED: Final = ("killed", "stopped")
ACTING_MAX: Final = 16


def read(*, but: int = 0) -> Situation:
    """Return how things are.

    Args:
        but: the action that asks is not in its own way.
    """
    labels = dict(Node.objects.order_by("updated_at_ns").values_list("address", "label"))
    view = RingVersion.objects.order_by("-number").first()
    sight = MasterSight.objects.filter(pk=1).first()
    now_ns = time.time_ns()
    members = [(labels.get(m["address"], m["address"]), m["down"]) for m in (view.members if view else [])]
    waits = sight is not None and (sight.stabilising_until_ns or 0) > now_ns
    running = Node.objects.filter(pid__isnull=False).exclude(state__in=ENDED).values_list("label", flat=True)
    idle = Node.objects.filter(state__in=ENDED).values_list("label", flat=True)
    return Situation(
        up=in_order(label for label, down in members if not down),
        down=in_order(label for label, down in members if down),
        away=in_order(set(running) - {label for label, _ in members}),
        idle=in_order(idle),
        settled=view is not None and view.settled_at_ns is not None and not waits,
        unseen=_unseen(view, sight, now_ns),
        rehearsing=_rehearsing(),
        trying=_trying(but),
        held=tuple((hold.label, holdrows.tell(hold)) for hold in holdrows.everything()),
        acting=_acting(),
    )


def _unseen(view: RingVersion | None, sight: MasterSight | None, now_ns: int) -> str:
    if requests.present_helm() is None:
        return "Nobody here can start or end nodes: this cluster was not started with `manage.py up`."
    if view is None or sight is None:
        return "No ring was seen yet. Wait until the first nodes are up."
    if now_ns - sight.at_ns > FRESH_NS:
        return f"The master was last seen {(now_ns - sight.at_ns) / 1e9:.0f} s ago, so nobody knows how things are."
    return ""


def _rehearsing() -> str:
    action = requests.open_action("rehearse")
    return action.who if action else ""


def _trying(but: int) -> str:
    run = rows.newest()
    if run is not None and run.state in rows.UNDER_WAY:
        return f"{run.who} tries “{_title(run.scenario)}”"
    asked = OperatorAction.objects.filter(what=TRY, state__in=OPEN).exclude(pk=but).order_by("id").first()
    return f"{asked.who} tries “{_title(asked.target)}”" if asked else ""


def _acting() -> tuple[tuple[str, str], ...]:
    found = OperatorAction.objects.filter(state__in=OPEN, what__in=ON_NODES).order_by("id")[:ACTING_MAX]
    return tuple((action.target, action.what) for action in found)


def _title(name: str) -> str:
    return SCENARIOS[name].title if name in SCENARIOS else name
