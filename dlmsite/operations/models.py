"""What operators asked for, and who is there to do it.

Invariants
  O1  An action's state only goes requested -> running -> done | failed, each step by one UPDATE that names the state
      before: of two supervisors that see a request, one gets it.
  O2  A refusal is a row as well: state failed, detail why.
  O3  A hold is a row before anything is held, and shown only once it has been seen (`since_ns`).
Elsewhere: asking and claiming (requests), doing (helm, supervisor, holds, rehearsal, scenarios), plans (planrows).
"""

from typing import Any

from django.db import models


class ActionState(models.TextChoices):
    """How far an action is."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class ChangePlan(models.Model):
    """Changes of the ring that somebody committed to together, with what was foreseen and, later, what came of it.

    `locks` and `outcomes` are compressed, and go with each other row by row.
    """

    who = models.CharField(max_length=150)
    view = models.BigIntegerField(help_text="the view that it was made for")
    pace = models.CharField(max_length=16, help_text="together, or in turn")
    changes: Any = models.JSONField(help_text="[{what, label, address, wave}]")
    foreseen: Any = models.JSONField(help_text="in total: shares of the key space, held locks")
    locks = models.BinaryField(help_text="what was foreseen of each held lock")
    after_event = models.BigIntegerField(help_text="the newest event when it was committed to")
    committed_at_ns = models.BigIntegerField()
    happened: Any = models.JSONField(null=True, help_text="in total; null: not settled yet, or nobody has looked")
    outcomes = models.BinaryField(null=True, help_text="what became of each lock")

    def __str__(self) -> str:
        return f"plan {self.pk} by {self.who}"


class OperatorAction(models.Model):
    """Somebody asked for something."""

    who = models.CharField(max_length=150, help_text="name of the user; kept when the user is deleted")
    what = models.CharField(max_length=16)
    target = models.CharField(max_length=64, blank=True)
    options = models.JSONField(default=dict, help_text="how it is to be done, such as seconds; what each deed takes")
    state = models.CharField(max_length=16, choices=ActionState.choices, default=ActionState.REQUESTED)
    detail = models.TextField(blank=True)
    requested_at_ns = models.BigIntegerField()
    started_at_ns = models.BigIntegerField(null=True)
    ended_at_ns = models.BigIntegerField(null=True)
    address = models.CharField(max_length=255, blank=True, default="", help_text="of the node it was done to")
    view_from = models.BigIntegerField(null=True, help_text="the newest view when it began; null: never begun, or old")
    view_to = models.BigIntegerField(null=True, help_text="the newest view when it ended")
    plan = models.ForeignKey(ChangePlan, models.SET_NULL, null=True, related_name="actions")
    wave = models.IntegerField(default=0, help_text="of its plan: begins when all of the one before have ended")

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


class Hold(models.Model):
    """What is done to a node for a while: paused, or cut off. One per node."""

    label = models.CharField(max_length=64, primary_key=True)
    kind = models.CharField(max_length=16, help_text="paused or isolated")
    scope = models.CharField(max_length=16, blank=True, help_text="isolated from whom: everything, master, peers")
    way = models.CharField(max_length=8, blank=True, help_text="both, in (what it hears), out (what it says)")
    who = models.CharField(max_length=150)
    pid = models.IntegerField(help_text="of the process; another one is not held")
    since_ns = models.BigIntegerField(null=True, help_text="when it was seen to be so; null: not yet")
    until_ns = models.BigIntegerField(null=True, help_text="wall clock; null: until somebody ends it")

    def __str__(self) -> str:
        return f"{self.label} {self.kind}"


class RehearsalState(models.TextChoices):
    """How far a rehearsal is, or how it ended."""

    RUNNING = "running"
    PASSED = "passed"
    VIOLATED = "violated"
    STOPPED = "stopped"
    FAILED = "failed"


class Rehearsal(models.Model):
    """A cluster of its own that was broken on purpose: what is told of it while it runs, and its report."""

    who = models.CharField(max_length=150)
    seconds = models.IntegerField()
    nodes = models.IntegerField()
    seed = models.BigIntegerField()
    state = models.CharField(max_length=16, choices=RehearsalState.choices, default=RehearsalState.RUNNING)
    detail = models.TextField(blank=True)
    lines = models.JSONField(default=list, help_text="the last lines of progress")
    events = models.BigIntegerField(default=0, help_text="checked so far")
    violations = models.IntegerField(default=0, help_text="found so far")
    report = models.JSONField(null=True)
    started_ns = models.BigIntegerField()
    faults_ns = models.BigIntegerField(null=True, help_text="when its faults began")
    ended_ns = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"rehearsal by {self.who}: {self.state}"


class ScenarioState(models.TextChoices):
    """How far a scenario is, or how it ended. `unknown`: nothing spoke against it, and not everything was measured."""

    RUNNING = "running"
    ENDING = "ending"
    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    FAILED = "failed"


class ScenarioRun(models.Model):
    """One of the things to try, tried once: its steps, what was expected and what was measured."""

    who = models.CharField(max_length=150)
    scenario = models.CharField(max_length=32)
    state = models.CharField(max_length=16, choices=ScenarioState.choices, default=ScenarioState.RUNNING)
    detail = models.TextField(blank=True)
    key = models.CharField(max_length=64, blank=True, help_text="of its lock")
    generation = models.BigIntegerField(default=0, help_text="of its lock, once it is held")
    cast = models.JSONField(default=dict, help_text="which node was its lock's primary, and which its backup: labels")
    before = models.JSONField(default=list, help_text="labels of the nodes that served when it began")
    ended_by_it = models.JSONField(default=list, help_text="labels of nodes that it has to start again")
    steps = models.JSONField(default=list)
    expects = models.JSONField(default=list)
    belief = models.JSONField(default=dict, help_text="what the holder of its lock believed when it was looked at last")
    facts = models.JSONField(default=dict, help_text="what its clients were told; the rest is in the history")
    others = models.JSONField(default=list, help_text="what others did to nodes meanwhile, in words")
    grace_until_ns = models.BigIntegerField(null=True, help_text="wall clock; until then some arcs grant nothing new")
    started_ns = models.BigIntegerField()
    ended_ns = models.BigIntegerField(null=True)
    changed = models.BigIntegerField(default=0, help_text="how often this row was written")

    def __str__(self) -> str:
        return f"{self.scenario} by {self.who}: {self.state}"
