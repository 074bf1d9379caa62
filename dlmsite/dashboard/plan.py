"""Plans over HTTP: what staged changes would do, committing to them, and what came of it.

Reading a plan changes nothing. Committing needs an operator, and names the view that the plan was read for: against
another view it is refused, so that nobody gets what was not shown.

Invariants
  N1  Totals are of all locks; a list is a page of at most LISTED_MAX, in the order of the keys.
Elsewhere: making it (staging), why not now (settling), shapes (planshapes), what came of it
(dlmsite.operations.concluding), the page (static/js/stage.js).
"""

import json
from bisect import bisect_right
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse

from dlmsite.access.tokens import Scope
from dlmsite.dashboard import actions, picture, planshapes, staging
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import DIGITS_MAX, Choice, KeyName, Text, Whole
from dlmsite.dashboard.problems import Refusal, invalid
from dlmsite.dashboard.shapes import obj, several
from dlmsite.journal.recorder import send_hint
from dlmsite.operations import asking, planrows, requests
from dlmsite.operations.concluding import judge_now
from dlmsite.operations.foresight import CHANGES_MAX, Fate, Pace
from dlmsite.operations.models import ChangePlan
from dlmsite.operations.outcomes import Expected, Outcome, Verdict
from dlmsite.operations.planrows import Draft

LISTED: Final = 50
LISTED_MAX: Final = 200
NEWEST: Final = 20
CHANGES_CHARS_MAX: Final = CHANGES_MAX * 80
WHAT: Final = "plan"
ID_MAX: Final = 2**63 - 1

CHANGES: Final = Text("changes", f"At most {CHANGES_MAX}, such as kill:n1,stop:n2,add.", chars_max=CHANGES_CHARS_MAX)
PACE: Final = Choice("pace", "Whether they happen at once or each when the one before has settled.", tuple(Pace))
FATE: Final = Choice("fate", "List only locks of which this is foreseen.", tuple(Fate))
VERDICT: Final = Choice("verdict", "List only locks that came out so.", tuple(Verdict))
AFTER: Final = KeyName("after", "List only keys after this one: `next_after` of the page before.")
LIMIT: Final = Whole("limit", "How many locks to list at most.", least=0, most=LISTED_MAX, default=LISTED)

REST: Final = {HTTPStatus.CONFLICT: "The cluster is still settling, or a change is not possible; `detail` says why."}
STALE: Final = {HTTPStatus.CONFLICT: "The ring is not as it was when the plan was made, or changes; `detail` says why."}
UNKNOWN: Final = {HTTPStatus.NOT_FOUND: "There is no such plan, or it was removed with old ones."}
BODY: Final = obj(
    view={"type": "string", "pattern": "^[0-9]{1,19}$", "description": "that the plan was read for"},
    changes={"type": "string", "minLength": 1, "maxLength": CHANGES_CHARS_MAX},
    pace={"type": "string", "enum": list(Pace)},
)

Json = dict[str, Any]
Pair = tuple[Expected, Outcome | None]


@json_view(
    "GET",
    Operation(
        "What changes of the ring would do to it and to each held lock. Nothing is changed.",
        planshapes.PREVIEW,
        (CHANGES, PACE, FATE, AFTER, LIMIT),
        problems=REST,
    ),
)
def preview(request: HttpRequest) -> HttpResponse:
    """Return what changes would do."""
    pace, fate, limit = Pace(PACE.read(request) or Pace.TOGETHER), FATE.read(request), LIMIT.need(request)
    draft = staging.draft_of(staging.read_changes(CHANGES.read(request)), pace)
    rows = [(lock, None) for lock in draft.locks if not fate or lock.course.fate == fate]
    page, following = page_of(rows, AFTER.read(request), limit)
    left, silent = _leases(page)
    labels = picture.node_labels()
    listed = [{**lock_json(lock), "remaining_ms": left.get((lock.key, lock.generation))} for lock, _ in page]
    return answer(
        {
            "view": str(draft.view),
            "pace": draft.pace.value,
            **draft.foreseen,
            "locks": {
                "list": listed,
                "next_after": following,
                "silent": [labels.get(address, address) for address in silent],
            },
        }
    )


@json_view(
    "POST",
    Operation(
        "Commit to a plan. Answers when its actions are written down.",
        obj(id=planshapes.ID, actions=several(planshapes.ACTION)),
        body=BODY,
        status=HTTPStatus.ACCEPTED,
        scope=Scope.OPERATE,
        problems=STALE,
    ),
)
def commit(request: HttpRequest) -> HttpResponse:
    """Commit to changes, if the ring is as it was when their plan was read."""
    who = request.user.get_username()
    asked = "changes of the ring"
    try:
        actions.helm_for(request)
        view, changes, pace = _body(request)
        asked = changes
        plan = planrows.commit(_bound_draft(view, changes, pace), who)
    except planrows.Busy as busy:
        requests.refuse(who, WHAT, "", f"refused: {asked[:200]}: {busy}")
        async_to_sync(send_hint)()
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", str(busy)) from None
    except Refusal as refusal:
        requests.refuse(who, WHAT, "", f"refused: {asked[:200]}: {refusal.detail}")
        async_to_sync(send_hint)()
        raise
    async_to_sync(send_hint)()
    rows = [picture.action_of(row) for row in planrows.actions_of(plan)]
    return answer({"id": str(plan.pk), "actions": rows}, HTTPStatus.ACCEPTED)


@json_view("GET", Operation("The newest plans.", obj(plans=several(planshapes.HEAD, "newest first"))))
def plans(request: HttpRequest) -> HttpResponse:
    """Return the newest plans in short."""
    del request
    newest = ChangePlan.objects.defer("locks", "outcomes").order_by("-id")[:NEWEST]
    return answer({"plans": [_head(plan) for plan in newest]})


@json_view(
    "GET",
    Operation(
        "What a plan foresaw, beside what happened.", planshapes.PLAN, (FATE, VERDICT, AFTER, LIMIT), problems=UNKNOWN
    ),
)
def plan(request: HttpRequest, plan_id: int) -> HttpResponse:
    """Return a plan, lock by lock."""
    fate, verdict, limit = FATE.read(request), VERDICT.read(request), LIMIT.need(request)
    row = ChangePlan.objects.filter(pk=min(plan_id, ID_MAX)).first()
    if row is None:
        text = f"There is no plan {plan_id}. The newest {planrows.PLANS_KEPT} are kept."
        raise Refusal(HTTPStatus.NOT_FOUND, "No such plan", text)
    happened, rows = _happened(row)
    wanted = [pair for pair in rows if _is_wanted(pair, fate, verdict)]
    page, following = page_of(wanted, AFTER.read(request), limit)
    listed = [{**lock_json(lock), "actual": _actual(outcome)} for lock, outcome in page]
    return answer(
        {
            **_head(row),
            "view": str(row.view),
            **row.foreseen,
            "actions": [picture.action_of(action) for action in planrows.actions_of(row)],
            "happened": happened,
            "locks": {"list": listed, "next_after": following},
        }
    )


# --- inside ---------------------------------------------------------------------------------------------------------


def _body(request: HttpRequest) -> tuple[int, str, Pace]:
    try:
        body = json.loads(request.body)
        view, changes, pace = (body[name] for name in ("view", "changes", "pace"))
        if not (isinstance(view, str) and view.isascii() and view.isdigit() and isinstance(changes, str)):
            raise TypeError  # noqa: TRY301 - one answer to all that is wrong
        return int(view[:DIGITS_MAX]), changes[: CHANGES_CHARS_MAX + 1], Pace(pace)
    except (ValueError, KeyError, TypeError, RecursionError):
        text = (
            f'Say {{"view": "the plan\'s", "changes": "kill:n1,add", "pace": "{Pace.TOGETHER}" or "{Pace.IN_TURN}"}}.'
        )
        raise invalid(text) from None


def _bound_draft(view: int, changes: str, pace: Pace) -> Draft:
    """Make the plan again, of what is held now, if the ring is still the one that it was read for."""
    wanted = staging.read_changes(changes)
    if not wanted:
        raise invalid(f"The plan has no changes. {staging.EXAMPLE}")
    draft = staging.draft_of(wanted, pace)
    if draft.view != view:
        text = (
            f"The plan was made for view {view}, and the ring is in view {draft.view} now. "
            "Look at what the plan would do now, and commit to that."
        )
        raise Refusal(HTTPStatus.CONFLICT, "The ring has changed", text)
    return draft


def _happened(row: ChangePlan) -> tuple[Json, list[Pair]]:
    """Return what has come of a plan: as it was written down, else as far as is recorded by now."""
    if row.happened is not None:
        rows = list(zip(planrows.expected_of(row), planrows.outcomes_of(row), strict=True))
        return {**row.happened, "final": True}, [*rows]
    view = picture.newest_view()
    up = {str(member["address"]) for member in (view.members if view else ()) if not member["down"]}
    found = judge_now(row, view.number if view else 0, up, complete=False)
    return {**found.happened, "final": False}, [*zip(found.expected, found.outcomes, strict=True)]


def page_of(rows: Sequence[Pair], after: str, limit: int) -> tuple[Sequence[Pair], str | None]:
    """Return the rows that follow a key, and after which key the next page begins; rows are in the order of keys."""
    begin = bisect_right(rows, after, key=lambda pair: pair[0].key) if after else 0
    page = rows[begin : begin + limit]
    return page, page[-1][0].key if page and begin + limit < len(rows) else None


def _is_wanted(pair: Pair, fate: str, verdict: str) -> bool:
    lock, outcome = pair
    return (not fate or lock.course.fate == fate) and (not verdict or (outcome is not None and outcome[0] == verdict))


def _leases(page: Sequence[Pair]) -> tuple[dict[tuple[str, int], int], list[str]]:
    """Ask the primaries how long leases run yet; return that, and who did not answer."""
    asked: dict[str, list[str]] = {}
    for lock, _ in page:
        primary = lock.course.before[0]
        if primary is not None:
            asked.setdefault(primary, []).append(lock.key)
    told = async_to_sync(asking.ask_leases)(asked) if asked else {}
    left = {(lease.key, lease.generation): lease.remaining_ms for seen in told.values() for lease in seen or ()}
    return left, sorted(address for address, seen in told.items() if seen is None)


def lock_json(lock: Expected) -> Json:
    """Return what was foreseen of a lock."""
    course = lock.course
    return {
        "key": lock.key,
        "owner": lock.owner,
        "generation": picture.wide(lock.generation),
        "fate": course.fate.value,
        "source": course.before[0],
        "target": course.after[0],
        "backup_from": course.before[1],
        "backup_to": course.after[1],
        "copied": course.copied,
        "hops": [{"node": hop.node, "how": hop.how.value} for hop in course.hops],
    }


def _actual(outcome: Outcome | None) -> Json | None:
    if outcome is None:
        return None
    verdict, fate, node, ended = outcome
    return {"verdict": verdict.value, "fate": fate.value, "node": node, "ended": ended}


def _head(row: ChangePlan) -> Json:
    state = "final" if row.happened is not None else "settling" if requests.plan_ended(row.pk) else "running"
    return {
        "id": str(row.pk),
        "who": row.who,
        "pace": row.pace,
        "changes": row.changes,
        "committed_ms": picture.ms(row.committed_at_ns),
        "state": state,
        "differs": row.happened["differs"] if row.happened is not None else None,
    }
