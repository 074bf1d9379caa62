"""What happened in the cluster, as rows.

Numbers of the cluster (views, generations, incarnations) are 64 bits wide and fit BigIntegerField: they are wall-clock
nanoseconds, far below 2^63. What goes to a browser goes as a string (dlmsite.dashboard).

Invariants
  J1  A LockEvent is written once: (source, incarnation, number) is unique, so a report that is repeated adds nothing.
  J2  Only the recorder of one process writes LockEvents, so their ids rise in the order in which they become visible.
  J3  No row holds a renew token.
  J4  Every LockEvent that the recorder writes has its place in the chain; ids and places rise together.
Elsewhere: who writes them (recorder, nodes, checking, momentframes, momentnodes), how long they stay (retention), what
operators asked for (operations), the chain (chain).
"""

from typing import Any, Final

from django.db import models

from dlmsite.journal.indexes import HeadIndex

# Beyond PostgreSQL's limit for an index entry: keys are looked up by their position, which is a number.
KEY_CHARS_MAX: Final = 4096


class RingVersion(models.Model):
    """A view that the master published.

    `members` is a list of {"address", "incarnation" (a string), "down"}.
    """

    number = models.BigIntegerField(unique=True)
    version = models.BigIntegerField()
    previous = models.BigIntegerField(default=0)
    members: Any = models.JSONField(default=list)
    at_ns = models.BigIntegerField(db_index=True, help_text="wall clock, when it was published")
    settled_at_ns = models.BigIntegerField(null=True, help_text="wall clock; empty while members still lack something")

    def __str__(self) -> str:
        return f"view {self.number}"


class Node(models.Model):
    """A node as it was last seen. One row per label for ever: its colour is how people know it again."""

    label = models.CharField(max_length=64, unique=True)
    address = models.CharField(max_length=255, db_index=True)
    color = models.IntegerField(help_text="index into the page's palette")
    incarnation = models.BigIntegerField(default=0)
    pid = models.IntegerField(null=True)
    state = models.CharField(max_length=16, default="unknown")
    settled = models.BooleanField(default=False, help_text="nothing is missing in its view")
    view = models.BigIntegerField(default=0)
    held_primary = models.BigIntegerField(default=0)
    held_backup = models.BigIntegerField(default=0)
    gauges: Any = models.JSONField(default=dict)
    ops_per_s = models.FloatField(default=0.0)
    heartbeat_at_ns = models.BigIntegerField(null=True, help_text="wall clock of the last one that the master had")
    updated_at_ns = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.label


class LockEvent(models.Model):
    """One fact, as its source told it. Zeros and empty strings mean "does not apply".

    `number` counts from 1 within one incarnation of a source; the row of a gap has minus the first missing number.
    """

    source = models.CharField(max_length=255, help_text="ring address, 'master' or 'site'")
    incarnation = models.BigIntegerField()
    number = models.BigIntegerField()
    wall_ns = models.BigIntegerField()
    kind = models.CharField(max_length=16)
    key = models.TextField(blank=True)
    position = models.BigIntegerField(null=True, help_text="CRC-32 of the key: where it is on the ring")
    owner = models.TextField(blank=True)
    generation = models.BigIntegerField(default=0)
    seq = models.BigIntegerField(default=0)
    view = models.BigIntegerField(default=0)
    version = models.BigIntegerField(default=0)
    peer = models.CharField(max_length=255, blank=True)
    detail = models.TextField(blank=True)
    ttl_ms = models.BigIntegerField(default=0)
    renewals = models.BigIntegerField(default=0)
    session = models.CharField(max_length=128, null=True)  # noqa: DJ001 - only rows that have one are in its index
    place = models.BigIntegerField(null=True, help_text="in the chain, from 1; empty: recorded before there was one")
    seal = models.BinaryField(null=True, help_text="hash of this row and of the seal before it")

    class Meta:
        """What the database sees to."""

        constraints = (
            models.UniqueConstraint(fields=["source", "incarnation", "number"], name="journal_event_told_once"),
        )
        indexes = (
            # Its kind as well: one that is rare is looked for in the index, not in every row of a busy key.
            models.Index(fields=["position", "id", "kind"], name="journal_event_key"),
            models.Index(fields=["kind", "id"], name="journal_event_kind"),
            models.Index(fields=["source", "id"], name="journal_event_source"),
            models.Index(
                fields=["session", "id"],
                name="journal_event_session",
                condition=models.Q(session__isnull=False),
            ),
            models.Index(fields=["view", "id"], name="journal_event_view", condition=models.Q(view__gt=0)),
            models.Index(fields=["version", "id"], name="journal_event_version", condition=models.Q(version__gt=0)),
            models.Index(
                fields=["generation", "id"],
                name="journal_event_generation",
                condition=models.Q(generation__gt=0),
            ),
            HeadIndex(fields=["key"], name="journal_event_key_head"),
            HeadIndex(fields=["owner"], name="journal_event_owner_head"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.key}".strip()


class Chain(models.Model):
    """The one row that says where the chain of LockEvents begins and ends. Absent: nothing was chained yet.

    The first row that is left is sealed upon `anchor_seal`, for retention removes the oldest.
    """

    head_place = models.BigIntegerField(default=0)
    head_seal = models.BinaryField(help_text="of the newest row")
    head_id = models.BigIntegerField(default=0, help_text="id of the newest row")
    anchor_place = models.BigIntegerField(default=0, help_text="of the newest row that retention removed")
    anchor_seal = models.BinaryField()
    unsealed_through_id = models.BigIntegerField(default=0, help_text="rows up to this id are older than the chain")

    def __str__(self) -> str:
        return f"chain of {self.head_place}"


class EventSpan(models.Model):
    """Which wall-clock times the events of one block of ids have, so that a time range is a range of ids.

    Ids rise as rows are recorded, times only nearly so: a node that was cut off tells later.
    """

    block = models.BigIntegerField(primary_key=True, help_text="id of an event // SPAN_ROWS")
    min_ns = models.BigIntegerField()
    max_ns = models.BigIntegerField()

    def __str__(self) -> str:
        return f"block {self.block}"


class HeldLock(models.Model):
    """A lock that is held now, as far as the events say: their projection, kept in the transaction that writes them.

    `digest` stands for the key, which may be too long to be an index entry. (`generation`, `seq`, `order_ns`) is the
    place in the lock's history of the event that is behind the row: older events change nothing.
    """

    digest = models.CharField(max_length=32, primary_key=True)
    key = models.TextField()
    node = models.CharField(max_length=255, db_index=True)
    incarnation = models.BigIntegerField()
    owner = models.TextField(blank=True)
    generation = models.BigIntegerField()
    seq = models.BigIntegerField()
    order_ns = models.BigIntegerField()
    since_ns = models.BigIntegerField()
    ttl_ms = models.BigIntegerField()
    session = models.CharField(max_length=128, blank=True, default="", help_text="empty: held by a token")

    def __str__(self) -> str:
        return f"{self.key} held by {self.owner}"


class Cursor(models.Model):
    """How far the history of one incarnation of one source is recorded."""

    source = models.CharField(max_length=255)
    incarnation = models.BigIntegerField()
    number = models.BigIntegerField(default=0)
    at_ns = models.BigIntegerField(default=0)

    class Meta:
        """What the database sees to."""

        constraints = (models.UniqueConstraint(fields=["source", "incarnation"], name="journal_one_cursor_per_life"),)

    def __str__(self) -> str:
        return f"{self.source} {self.incarnation} up to {self.number}"


class Pulse(models.Model):
    """The one row in which the recorder says that it is alive, and how far behind it is. Absent: never measured."""

    at_ns = models.BigIntegerField()
    lag_ms = models.FloatField(help_text="from the newest events to their rows")
    waiting = models.IntegerField(help_text="events that are not rows yet")
    trouble = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.trouble or f"{self.lag_ms:.0f} ms behind"


class MasterSight(models.Model):
    """The one row of what was last seen of the master. Absent: never seen."""

    at_ns = models.BigIntegerField(help_text="wall clock, when it was looked at")
    stabilising_until_ns = models.BigIntegerField(null=True, help_text="wall clock; empty while nothing is planned")

    def __str__(self) -> str:
        return f"master seen at {self.at_ns}"


class RefusedViews(models.Model):
    """How often one incarnation of a node refused a view because it had a newer one. Absent: never, as far as told."""

    source = models.CharField(max_length=255)
    incarnation = models.BigIntegerField()
    count = models.BigIntegerField()
    last_view = models.BigIntegerField()
    last_ns = models.BigIntegerField(help_text="wall clock of the last one")

    class Meta:
        """What the database sees to."""

        constraints = (models.UniqueConstraint(fields=["source", "incarnation"], name="journal_refusals_per_life"),)

    def __str__(self) -> str:
        return f"{self.source} refused {self.count} views"


class Checking(models.Model):
    """The one row of how the running check of the invariants is doing. Absent: it never ran.

    Its memory does not outlive the recorder's process; it is made again from the newest rows, which is why it says how
    far back it remembers.
    """

    at_ns = models.BigIntegerField(help_text="wall clock, when this was written")
    since_ns = models.BigIntegerField(
        help_text="wall clock; what was recorded later is checked, or counted as unchecked"
    )
    remembers_since_ns = models.BigIntegerField(help_text="wall clock of the oldest event it compares with")
    through_id = models.BigIntegerField(default=0, help_text="the newest event that was checked")
    checked = models.BigIntegerField(default=0)
    unchecked = models.BigIntegerField(default=0, help_text="recorded while the check did not run, and not made up for")
    unlisted = models.BigIntegerField(default=0, help_text="violations beyond those that are kept as rows")
    forgotten = models.BigIntegerField(default=0, help_text="locks forgotten for lack of room, in this process")
    trouble = models.TextField(blank=True, help_text="why it has stopped; empty while it runs")

    def __str__(self) -> str:
        return self.trouble or f"{self.checked} events checked"


class Violation(models.Model):
    """Two events of which one must not be, after the other.

    `evidence` is a copy of both as they were, because retention removes events without asking who points at them:
    `first` and `second` are links that may lead nowhere. `mark` stands for rule and events, so that a contradiction
    that is found again adds nothing.
    """

    mark = models.CharField(max_length=32, unique=True)
    rule = models.CharField(max_length=8)
    text = models.TextField()
    first = models.ForeignKey(
        LockEvent, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    second = models.ForeignKey(
        LockEvent, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    evidence: Any = models.JSONField()
    found_at_ns = models.BigIntegerField(help_text="wall clock")

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


class Frame(models.Model):
    """The held locks as they were after the event `through_id`: a moment is told again from the nearest one before it.

    Its locks are in its parts, which may be written later, so that a large one stops nobody; until then it is not
    `whole`, and not used.
    """

    through_id = models.BigIntegerField(db_index=True, help_text="the newest event in it; 0 if there was none")
    at_ns = models.BigIntegerField(db_index=True, help_text="wall clock; what is in it happened until then")
    held = models.IntegerField()
    cursors: Any = models.JSONField(default=list, help_text="[source, incarnation, number] of lives that told lately")
    whole = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.held} locks after event {self.through_id}"


class FramePart(models.Model):
    """Some of a frame's locks, compressed."""

    frame = models.ForeignKey(Frame, models.CASCADE, db_index=False, related_name="parts")
    number = models.IntegerField()
    blob = models.BinaryField()

    class Meta:
        """What the database sees to."""

        constraints = (models.UniqueConstraint(fields=["frame", "number"], name="journal_frame_part_once"),)

    def __str__(self) -> str:
        return f"part {self.number} of frame {self.frame_id}"


class NodesSeen(models.Model):
    """All nodes as they were seen at one time, compressed; written when something about them has changed."""

    at_ns = models.BigIntegerField(db_index=True, help_text="wall clock")
    blob = models.BinaryField()

    def __str__(self) -> str:
        return f"nodes at {self.at_ns}"


class Sample(models.Model):
    """How the nodes did in `step_s` seconds from `at_ns` on, compressed: what is measured, for charts."""

    step_s = models.IntegerField()
    at_ns = models.BigIntegerField(help_text="wall clock, a multiple of the step")
    blob = models.BinaryField()

    class Meta:
        """What the database sees to."""

        constraints = (models.UniqueConstraint(fields=["step_s", "at_ns"], name="journal_sample_once"),)

    def __str__(self) -> str:
        return f"{self.step_s} s from {self.at_ns}"
