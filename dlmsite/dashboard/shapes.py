"""The shapes of the API's answers as JSON Schema: what picture, faults, invariants and inspecting make.

Every member that is named is always there; "" and null say "does not apply". Readers ignore what they do not know.

Elsewhere: making them (those modules), the document (openapi), the same as types of the page (static/js/contract.js).
"""

from typing import Any, Final

Schema = dict[str, Any]

COMPONENTS: Final[Schema] = {}
"""By name; filled below, and by modules that have shapes of their own."""


def ref(name: str) -> Schema:
    """Return a reference to one of COMPONENTS."""
    return {"$ref": f"#/components/schemas/{name}"}


def component(name: str, schema: Schema) -> Schema:
    """Give a shape a name in the document, from whatever module makes it; return a reference to it."""
    COMPONENTS[name] = schema
    return ref(name)


def obj(**members: Schema) -> Schema:
    """Return an object that has all these members. An underscore at the end keeps a name from being Python's."""
    properties = {name.removesuffix("_"): schema for name, schema in members.items()}
    return {"type": "object", "properties": properties, "required": list(properties)}


def several(items: Schema, says: str = "") -> Schema:
    """Return a list."""
    schema: Schema = {"type": "array", "items": items}
    return {**schema, "description": says} if says else schema


def one_of(*values: str) -> Schema:
    """Return one of some words."""
    return {"type": "string", "enum": list(values)}


def maybe(schema: Schema) -> Schema:
    """Return it, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def told(schema: Schema, says: str) -> Schema:
    """Return it with a description."""
    return {**schema, "description": says}


TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "number"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
YES_NO: Final[Schema] = {"type": "boolean"}
WIDE: Final[Schema] = {"type": "string", "pattern": "^[0-9]*$", "description": "64 bits, decimal"}
TIME_MS: Final[Schema] = {"type": "number", "description": "wall clock, milliseconds since 1970"}
ANYTHING: Final[Schema] = {"type": "object"}

MEMBER = obj(address=TEXT, incarnation=WIDE, down=YES_NO, label=TEXT)
VIEW = obj(number=WIDE, version=WIDE, settled=YES_NO, at_ms=TIME_MS, members=several(ref("Member")))
NODE = obj(
    address=TEXT, label=TEXT, color=COUNT, incarnation=WIDE, pid=maybe(COUNT),
    state=told(TEXT, "as it was seen `seen_age_ms` ago; unknown where nobody knows"),
    settled=YES_NO, view=WIDE, refused_views=COUNT, refused_last=WIDE, refused_ms=maybe(TIME_MS),
    held_primary=COUNT, held_backup=COUNT, ops_per_s=NUMBER, heartbeat_age_ms=maybe(COUNT), seen_age_ms=COUNT,
)  # fmt: skip
EVENT = obj(
    id=WIDE, time_ms=TIME_MS, node=told(TEXT, "ring address, 'master' or 'site'"), label=TEXT, kind=TEXT, key=TEXT,
    owner=TEXT, generation=told(WIDE, "fencing token: grows with every new holder"), seq=WIDE, view=WIDE, version=WIDE,
    peer=TEXT, detail=TEXT, ttl_ms=COUNT, renewals=COUNT, session=TEXT,
)  # fmt: skip
ACTION = obj(
    id=WIDE, who=TEXT, what=TEXT, target=TEXT, state=one_of("requested", "running", "done", "failed"), detail=TEXT,
    requested_ms=TIME_MS,
)  # fmt: skip
HOLD = obj(
    label=TEXT, kind=TEXT, scope=TEXT, way=TEXT, who=TEXT, text=TEXT, since_ms=maybe(TIME_MS), until_ms=maybe(TIME_MS)
)
REHEARSAL = obj(
    id=WIDE, who=TEXT, seconds=COUNT, nodes=COUNT, seed=COUNT, state=TEXT, detail=TEXT, lines=several(ANYTHING),
    events=WIDE, violations=COUNT, report=maybe(ANYTHING), started_ms=maybe(TIME_MS), faults_ms=maybe(TIME_MS),
    ended_ms=maybe(TIME_MS),
)  # fmt: skip
VIOLATION = obj(id=WIDE, rule=TEXT, text=TEXT, found_ms=TIME_MS, first=ref("Event"), second=ref("Event"))
INVARIANTS = obj(
    state=one_of("checking", "stopped", "unknown"), trouble=TEXT, checked=WIDE, unchecked=WIDE, forgotten=WIDE,
    since_ms=maybe(TIME_MS), remembers_since_ms=maybe(TIME_MS), found=COUNT,
    rules=several(obj(rule=TEXT, says=TEXT, found=COUNT)), violations=several(ref("Violation")),
)  # fmt: skip
LOCK = {
    "type": "array",
    "description": "key, owner, generation, seq, address of the primary, since (ms), TTL (ms), session",
    "prefixItems": [TEXT, TEXT, WIDE, WIDE, TEXT, TIME_MS, COUNT, TEXT],
    "minItems": 8,
    "maxItems": 8,
}
SIGN = told(obj(id=WIDE, state=TEXT, changed=WIDE), "of the scenario tried last: read it again when this changes")
SNAPSHOT = obj(
    type=one_of("snapshot"), last_event_id=WIDE, view=maybe(ref("View")),
    master=maybe(obj(seen_age_ms=COUNT, stabilising_ms=maybe(COUNT))), nodes=several(ref("Node")),
    locks=several(ref("Lock")), actions=several(ref("Action")), workload=obj(available=YES_NO, on=YES_NO),
    holds=several(ref("Hold")), rehearsal=maybe(ref("Rehearsal")), scenario=maybe(SIGN), invariants=ref("Invariants"),
    events=several(ref("Event")), lag_ms=maybe(NUMBER),
)  # fmt: skip
PIECE_MEMBERS: Final = {
    "session": TEXT, "label": TEXT, "owner": TEXT, "kind": one_of("read", "write"), "start": WIDE, "end": maybe(WIDE),
    "fence": WIDE,
}  # fmt: skip
KEY = obj(
    key=TEXT, primary=TEXT, seen_ms=TIME_MS,
    holder=maybe(
        obj(owner=TEXT, session=TEXT, label=TEXT, generation=WIDE, seq=WIDE, ttl_ms=COUNT, remaining_ms=NUMBER)
    ),
    queue=several(
        obj(owner=TEXT, session=TEXT, label=TEXT, since_ms=maybe(TIME_MS), remaining_ms=maybe(NUMBER))
    ),
    queue_total=COUNT, ranges=several(obj(**PIECE_MEMBERS)), ranges_total=COUNT,
    waiting=several(obj(**PIECE_MEMBERS, fair=YES_NO, since_ms=maybe(TIME_MS), remaining_ms=maybe(NUMBER))),
    waiting_total=COUNT,
    migrations=several(
        obj(time_ms=TIME_MS, kind=TEXT, from_=TEXT, to=TEXT, label=TEXT, detail=TEXT), "newest first, between sessions"
    ),
)  # fmt: skip
SESSIONS = obj(
    seen_ms=TIME_MS,
    sessions=several(
        obj(
            id=TEXT, incarnation=WIDE, label=TEXT, state=one_of("alive", "lapsed", "ended"), remaining_ms=NUMBER,
            locks=COUNT, ranges=COUNT, waits=COUNT,
        )
    ),
    total=COUNT, counted=YES_NO, asked=COUNT, silent=several(TEXT, "labels of the nodes that did not answer"),
)  # fmt: skip
PROBLEM = obj(
    type=told(TEXT, "a name that programs can rely on"), title=TEXT, status=COUNT,
    detail=told(TEXT, "what is wrong in this case, and what to do"),
)  # fmt: skip

COMPONENTS.update(
    {
        "Action": ACTION,
        "Event": EVENT,
        "Hold": HOLD,
        "Invariants": INVARIANTS,
        "Key": KEY,
        "Lock": LOCK,
        "Member": MEMBER,
        "Node": NODE,
        "Problem": PROBLEM,
        "Rehearsal": REHEARSAL,
        "Sessions": SESSIONS,
        "Snapshot": SNAPSHOT,
        "View": VIEW,
        "Violation": VIOLATION,
    }
)
