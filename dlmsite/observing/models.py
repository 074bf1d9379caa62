"""Clusters that are watched, and what was seen of them.

In tables of their own: the history of our own nodes is chained and judged, what others' masters say is neither.
Versions are 64 bits wide and fit BigIntegerField; they go to a browser as strings.

Invariants
  O1  Each row belongs to one watched cluster, which is one filer group of one SeaweedFS.
  O2  Only the observatory of one process writes what was seen; ids rise in the order in which rows become visible.
  O3  A detached cluster keeps its rows.
Elsewhere: who writes them (book), who looks (dlmsite.dashboard.clusters).
"""

from typing import Any, Final

from django.db import models

from dlmsite.observing.naming import GROUP_CHARS_MAX, NAME_CHARS_MAX

ADDRESS_CHARS_MAX: Final = 255


class ObservedCluster(models.Model):
    """A cluster that is, or was, watched."""

    name = models.CharField(max_length=NAME_CHARS_MAX, unique=True)
    masters = models.TextField(help_text="as they were given, joined by commas")
    group = models.CharField(max_length=GROUP_CHARS_MAX, blank=True, help_text="filer group; empty: the default one")
    attached = models.BooleanField(default=True)
    attached_by = models.CharField(max_length=150)
    attached_at_ns = models.BigIntegerField()
    canary = models.BooleanField(default=False, help_text="take and release a lock at each filer from time to time")
    state = models.CharField(max_length=16, default="unknown")
    leader = models.CharField(max_length=ADDRESS_CHARS_MAX, blank=True)
    trouble = models.TextField(blank=True, help_text="what is wrong now; empty: nothing that is known")
    heard_at_ns = models.BigIntegerField(null=True, help_text="wall clock of the last word of a master")
    seen_at_ns = models.BigIntegerField(null=True, help_text="wall clock, when it was last being watched")

    def __str__(self) -> str:
        return self.name


class ObservedRing(models.Model):
    """A version of a watched ring, and those after it that had the same members: masters renew it twice a minute."""

    cluster = models.ForeignKey(ObservedCluster, models.CASCADE, db_index=False, related_name="rings")
    version = models.BigIntegerField()
    servers: Any = models.JSONField(help_text="ring addresses, as the master writes them")
    at_ns = models.BigIntegerField(help_text="wall clock, when we were told")
    renewed = models.BigIntegerField(help_text="the newest version that was told with the same members")

    class Meta:
        """What the database sees to."""

        constraints = (models.UniqueConstraint(fields=["cluster", "version"], name="observing_version_once"),)

    def __str__(self) -> str:
        return f"version {self.version}"


class ObservedFiler(models.Model):
    """A filer as it was last seen. Its number is its label and colour for as long as it is known."""

    cluster = models.ForeignKey(ObservedCluster, models.CASCADE, db_index=False, related_name="filers")
    address = models.CharField(max_length=ADDRESS_CHARS_MAX)
    number = models.IntegerField()
    on_ring = models.BooleanField(default=False)
    connected = models.BooleanField(null=True, help_text="to the master, as that says; empty: it has not said")
    since_ns = models.BigIntegerField(help_text="wall clock, since when it is on the ring or off it")
    software = models.CharField(max_length=64, blank=True, help_text="what it says it is; empty: not asked yet")
    canary: Any = models.JSONField(default=dict, help_text="how the last canary did; empty: none was tried")

    class Meta:
        """What the database sees to."""

        constraints = (models.UniqueConstraint(fields=["cluster", "address"], name="observing_filer_once"),)

    def __str__(self) -> str:
        return f"f{self.number}"


class ObservedEvent(models.Model):
    """Something that happened in a watched cluster, or between it and us."""

    cluster = models.ForeignKey(ObservedCluster, models.CASCADE, db_index=False, related_name="events")
    at_ns = models.BigIntegerField(help_text="wall clock, when we were told")
    kind = models.CharField(max_length=16)
    address = models.CharField(max_length=ADDRESS_CHARS_MAX, blank=True)
    version = models.BigIntegerField(default=0)
    text = models.TextField(blank=True)

    class Meta:
        """What the database sees to."""

        indexes = (
            models.Index(fields=["cluster", "id"], name="observing_event_cluster"),
            models.Index(fields=["cluster", "kind", "id"], name="observing_event_kind"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.address}".strip()
