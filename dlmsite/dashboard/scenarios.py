"""Things to try: the list, with what is in the way of each; the run that is under way or was last; start, cancel.

Elsewhere: what they do (dlmsite.operations.scenarios), asking for actions (actions), the panel (static/js/totry.js).
"""

from http import HTTPStatus
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import actions, picture
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Whole
from dlmsite.dashboard.problems import Refusal
from dlmsite.dashboard.shapes import (
    COUNT,
    TEXT,
    TIME_MS,
    WIDE,
    YES_NO,
    component,
    maybe,
    obj,
    one_of,
    ref,
    several,
    told,
)
from dlmsite.operations.models import Helm, ScenarioRun, ScenarioState
from dlmsite.operations.scenarios import needs, rows, situation
from dlmsite.operations.scenarios.catalog import SCENARIOS, Scenario, tell
from dlmsite.operations.scenarios.needs import Lack, Situation

Json = dict[str, Any]

PAGE_ROWS: Final = 20
RUN: Final = Whole("id", "Which run; without it the one that is under way, or was last.")
BEFORE: Final = Whole("before", "Only runs with a lower id: `next_before` of the page before.")

LACK: Final = told(
    maybe(obj(text=TEXT, remedy=one_of("wait", "add", "restart", "resume", "heal", "stop", "cancel"), label=TEXT)),
    "what is in its way now, and what can be done about it; null: nothing",
)
component(
    "Scenario",
    obj(
        id=TEXT, title=TEXT, shows=TEXT, nodes=told(COUNT, "how many have to be up"), about_s=COUNT,
        steps=several(obj(id=TEXT, says=TEXT)), expects=several(obj(id=TEXT, expected=TEXT)), lack=LACK,
    ),
)  # fmt: skip
component(
    "ScenarioRun",
    obj(
        id=WIDE, scenario=TEXT, title=TEXT, who=TEXT, state=one_of(*ScenarioState.values), detail=TEXT, key=TEXT,
        generation=WIDE, cast=told({"type": "object"}, "labels of the lock's primary and backup when it was taken"),
        before=several(TEXT),
        steps=several(
            obj(
                id=TEXT, says=TEXT, state=one_of("waiting", "running", "done", "late", "failed"), detail=TEXT,
                began_ms=maybe(TIME_MS), ended_ms=maybe(TIME_MS),
            )
        ),
        expects=several(
            obj(
                id=TEXT, expected=TEXT, result=one_of("kept", "broken", "unknown"), measured=TEXT,
                at_ns=told(WIDE, "when it showed; empty: at no one moment"), event=told(WIDE, "the row that says so"),
            )
        ),
        belief=told({"type": "object"}, "what the lock's holder believed at `seen_ms`"), others=several(TEXT),
        grace_until_ms=maybe(TIME_MS), started_ms=TIME_MS, ended_ms=maybe(TIME_MS), changed=WIDE,
    ),
)  # fmt: skip
LIST: Final = obj(
    scenarios=several(ref("Scenario")), run=maybe(ref("ScenarioRun")),
    tried=told(YES_NO, "whether you have tried one before"),
)  # fmt: skip
RUNS: Final = obj(runs=several(ref("ScenarioRun"), "newest first"), next_before=maybe(WIDE))
NO_RUN: Final = {HTTPStatus.NOT_FOUND: "There is no such run; the oldest are forgotten."}


@json_view("GET", Operation("Things to try, and what is in each one's way now.", LIST))
def scenarios(request: HttpRequest) -> HttpResponse:
    """Return the list, and the newest run."""
    now, newest = situation.read(), rows.newest()
    tried = ScenarioRun.objects.filter(who=request.user.get_username()).exists()
    return answer(
        {
            "scenarios": [_scenario(scenario, now) for scenario in SCENARIOS.values()],
            "run": None if newest is None else _run(newest),
            "tried": tried,
        }
    )


@json_view("GET", Operation("One run of a scenario: its steps, what was expected and measured.", RUNS, (RUN, BEFORE)))
def runs(request: HttpRequest) -> HttpResponse:
    """Return a run, or a page of them."""
    wanted, before = RUN.read(request), BEFORE.read(request)
    found = ScenarioRun.objects.order_by("-id")
    if wanted is not None:
        row = found.filter(pk=wanted).first()
        if row is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "No such run", f"There is no run {wanted}; the oldest are forgotten.")
        return answer({"runs": [_run(row)], "next_before": None})
    page = list((found if before is None else found.filter(pk__lt=before))[: PAGE_ROWS + 1])
    more, page = len(page) > PAGE_ROWS, page[:PAGE_ROWS]
    return answer({"runs": [_run(row) for row in page], "next_before": str(page[-1].pk) if more else None})


@json_view("POST", actions.asks("Ask for a scenario to be tried.", problems=actions.UNKNOWN))
def start(request: HttpRequest, name: str) -> HttpResponse:
    """Ask for a scenario to be tried."""
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise Refusal(HTTPStatus.NOT_FOUND, "No such scenario", f"There are {', '.join(SCENARIOS)}.")
    return actions.ask(request, situation.TRY, name, lambda _helm: _check(scenario))


@json_view("POST", actions.asks("Ask for the scenario that is under way to be ended, and everything put back."))
def cancel(request: HttpRequest) -> HttpResponse:
    """Ask for the scenario that is under way to be ended."""
    return actions.ask(request, "stop trying", "", _check_cancel)


def _check(scenario: Scenario) -> None:
    lack = needs.lack_of(scenario, situation.read())
    if lack is not None:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", lack.text)


def _check_cancel(helm: Helm) -> None:
    del helm
    if not situation.read().trying:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", "Nothing is being tried: there is nothing to cancel.")


def described() -> list[Json]:
    """Return the list in words, without what is in the way of each now."""
    return [_described(scenario) for scenario in SCENARIOS.values()]


def _scenario(scenario: Scenario, now: Situation) -> Json:
    return {**_described(scenario), "lack": _lack(needs.lack_of(scenario, now))}


def _described(scenario: Scenario) -> Json:
    return {
        "id": scenario.id,
        "title": scenario.title,
        "shows": scenario.shows,
        "nodes": scenario.nodes,
        "about_s": scenario.about_s,
        "steps": [{"id": step.id, "says": tell(step.says, {})} for step in scenario.steps],
        "expects": [{"id": expected.id, "expected": tell(expected.says, {})} for expected in scenario.expects],
    }


def _lack(lack: Lack | None) -> Json | None:
    return None if lack is None else {"text": lack.text, "remedy": lack.remedy, "label": lack.label}


def _run(row: ScenarioRun) -> Json:
    return {
        "id": str(row.pk),
        "scenario": row.scenario,
        "title": SCENARIOS[row.scenario].title if row.scenario in SCENARIOS else row.scenario,
        "who": row.who,
        "state": row.state,
        "detail": row.detail,
        "key": row.key,
        "generation": picture.wide(row.generation),
        "cast": row.cast,
        "before": row.before,
        "steps": row.steps,
        "expects": row.expects,
        "belief": row.belief,
        "others": row.others,
        "grace_until_ms": None if row.grace_until_ns is None else picture.ms(row.grace_until_ns),
        "started_ms": picture.ms(row.started_ns),
        "ended_ms": None if row.ended_ns is None else picture.ms(row.ended_ns),
        "changed": str(row.changed),
    }
