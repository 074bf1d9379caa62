"""The shapes of plans, as JSON Schema.

Elsewhere: making them (plan, staging, dlmsite.operations.concluding), the same as types of the page
(static/js/stagecontract.js).
"""

from typing import Final

from dlmsite.dashboard.shapes import (
    COUNT,
    NUMBER,
    TEXT,
    TIME_MS,
    WIDE,
    YES_NO,
    Schema,
    maybe,
    obj,
    one_of,
    ref,
    several,
    told,
)
from dlmsite.operations.foresight import Fate, Pace, What
from dlmsite.operations.outcomes import Verdict

ID: Final = WIDE
ACTION: Final = ref("Action")
FATE: Final = one_of(*Fate)
VERDICTS: Final = obj(**dict.fromkeys(Verdict, COUNT))
CHANGE: Final = obj(
    what=one_of(*What), label=TEXT, address=TEXT, wave=told(COUNT, "begins when all of the one before have ended")
)
_TOTALS: Final[dict[str, Schema]] = {
    "changes": several(CHANGE, "in the order in which they are done"),
    "nodes": several(obj(address=TEXT, label=TEXT, before=YES_NO, after=YES_NO), "of the ring before, and after"),
    "space": obj(
        moved=told(NUMBER, "share of the key space whose primary changes, 0 to 1"),
        copied=told(NUMBER, "share of the key space that another node becomes the backup of"),
        fates=told(obj(**dict.fromkeys(Fate, NUMBER)), "shares; they add up to 1"),
        flows=several(obj(source=maybe(TEXT), target=maybe(TEXT), share=NUMBER), "primaries, largest first"),
        flows_total=COUNT,
    ),
    "held": obj(
        total=COUNT,
        fates=obj(**dict.fromkeys(Fate, COUNT)),
        copied=told(COUNT, "locks that another node becomes the backup of"),
        unserved=told(COUNT, "held by nobody that lives: both their nodes died before, and they wait"),
        flows=several(obj(source=maybe(TEXT), target=maybe(TEXT), fate=FATE, locks=COUNT), "most locks first"),
    ),
    "grace_ms": told(COUNT, "how long nobody but its holder gets a lock of which both nodes have died"),
}
_LOCK: Final[dict[str, Schema]] = {
    "key": TEXT, "owner": TEXT, "generation": WIDE, "fate": FATE, "source": maybe(TEXT), "target": maybe(TEXT),
    "backup_from": maybe(TEXT), "backup_to": maybe(TEXT), "copied": YES_NO,
    "hops": several(obj(node=TEXT, how=FATE), "its primaries on the way"),
}  # fmt: skip
_NEXT: Final = told(maybe(TEXT), "`after` of the next page; null: this is the last")
_HEAD: Final[dict[str, Schema]] = {
    "id": ID, "who": TEXT, "pace": one_of(*Pace), "changes": several(CHANGE), "committed_ms": TIME_MS,
    "state": told(one_of("running", "settling", "final"), "final: what happened is written down for good"),
    "differs": told(maybe(COUNT), "locks that fared otherwise; null: not known yet"),
}  # fmt: skip
HEAD: Final = obj(**_HEAD)
PREVIEW: Final = obj(
    view=WIDE,
    pace=one_of(*Pace),
    **_TOTALS,
    locks=obj(
        list=several(obj(**_LOCK, remaining_ms=told(maybe(COUNT), "of its lease; null: its primary did not say"))),
        next_after=_NEXT,
        silent=several(TEXT, "labels of primaries that did not answer"),
    ),
)
HAPPENED: Final = obj(
    final=YES_NO,
    view=WIDE,
    at_ns=WIDE,
    complete=told(YES_NO, "false: perhaps not all facts were recorded yet"),
    gaps=told(COUNT, "places in the record where facts never arrived"),
    compared=told(COUNT, "locks that were compared, of those that were held"),
    fates=told(obj(**dict.fromkeys(Fate, VERDICTS)), "by what was foreseen: how many came out how"),
    differs=COUNT,
    moved=NUMBER,
    missing=several(TEXT, "addresses that were to be in the ring and are not"),
    unforeseen=several(TEXT, "addresses that are in the ring and were not to be"),
)
PLAN: Final = obj(
    **{**_HEAD, **_TOTALS},
    view=WIDE,
    actions=several(ACTION),
    happened=HAPPENED,
    locks=obj(
        list=several(obj(**_LOCK, actual=maybe(obj(verdict=one_of(*Verdict), fate=FATE, node=TEXT, ended=TEXT)))),
        next_after=_NEXT,
    ),
)
