"""What happened in the cluster, as rows.

Numbers of the cluster (views, generations, incarnations) are 64 bits wide and fit BigIntegerField: they are wall-clock
nanoseconds, far below 2^63. What goes to a browser goes as a string (dlmsite.dashboard).

Invariants
  J1  A LockEvent is written once: (source, incarnation, number) is unique, so a report that is repeated adds nothing.
  J2  Only the recorder of one process writes LockEvents, so their ids rise in the order in which they become visible.
  J3  No row holds a renew token.
Elsewhere: who writes them (recorder, nodes), how long they stay (retention), what operators asked for (operations).
"""

from typing import Any, Final

from django.db import models

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
    at_ns = models.BigIntegerField(help_text="wall clock, when it was published")
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

    class Meta:
        """What the database sees to."""

        constraints = (
            models.UniqueConstraint(fields=["source", "incarnation", "number"], name="journal_event_told_once"),
        )
        indexes = (
            models.Index(fields=["position", "id"], name="journal_event_key"),
            models.Index(fields=["kind", "id"], name="journal_event_kind"),
            models.Index(fields=["source", "id"], name="journal_event_source"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.key}".strip()


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
