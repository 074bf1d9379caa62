"""What operators asked for, and who is there to do it.

Invariants
  O1  An action's state only goes requested -> running -> done | failed, each step by one UPDATE that names the state
      before: of two supervisors that see a request, one gets it.
  O2  A refusal is a row as well: state failed, detail why.
Elsewhere: asking and claiming (requests), doing (helm, supervisor).
"""

from django.db import models


class ActionState(models.TextChoices):
    """How far an action is."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class OperatorAction(models.Model):
    """Somebody asked for something."""

    who = models.CharField(max_length=150, help_text="name of the user; kept when the user is deleted")
    what = models.CharField(max_length=16)
    target = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=16, choices=ActionState.choices, default=ActionState.REQUESTED)
    detail = models.TextField(blank=True)
    requested_at_ns = models.BigIntegerField()
    started_at_ns = models.BigIntegerField(null=True)
    ended_at_ns = models.BigIntegerField(null=True)

    class Meta:
        """What the database sees to."""

        indexes = (models.Index(fields=["state", "id"], name="operations_action_state"),)

    def __str__(self) -> str:
        return f"{self.what} {self.target} by {self.who}: {self.state}"


class Helm(models.Model):
    """The one row in which the supervisor says that it is there, and whether the workload runs.

    Absent or older than a few seconds: nobody here can start or end a process.
    """

    at_ns = models.BigIntegerField()
    workload_available = models.BooleanField(default=False)
    workload_on = models.BooleanField(default=False)

    def __str__(self) -> str:
        return "workload on" if self.workload_on else "workload off"
