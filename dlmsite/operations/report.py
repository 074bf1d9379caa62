"""What runs in a data folder, for `manage.py status`: asked of master and nodes themselves, never remembered.

Elsewhere: asking (asking), printing (management/commands/status).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlmsite import claimfile
from dlmsite.operations.asking import ask_master, ask_nodes
from dlmsite.operations.registry import NodeRecord, Registry
from dlmsite.operations.seats import Plan
from lockcore.core.roster import MemberStatus
from lockcore.wire.addresses import grpc_target
from lockcore.wire.codec import NodeStatus
from lockcore.wire.master_codec import Overview


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node. `state` is its own word; "silent" if it does not answer. Numbers of 64 bits are strings in JSON."""

    label: str
    ring_address: str
    seaweedfs_address: str
    grpc_address: str
    pid: int | None
    incarnation: int
    state: str
    view: int
    version: int
    held_primary: int
    held_backup: int


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What runs. `master_state` is "up" or "silent"; `site` is empty where only nodes are left."""

    site: str
    master: str
    master_state: str
    view: int
    version: int
    settled: bool
    nodes: tuple[NodeReport, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it with 64-bit numbers as strings, for readers whose numbers are narrower."""
        raw = asdict(self)
        for part in (raw, *raw["nodes"]):
            for name in ("view", "version", "incarnation"):
                if name in part:
                    part[name] = str(part[name])
        return raw


async def look(data: Path) -> StatusReport | None:
    """Ask everybody; None if nothing runs there."""
    claim = claimfile.current(data)
    records = {record.address: record for record in Registry(data).peek()}
    if claim is None and not records:
        return None
    target = Plan(claim.host, claim.port).master_target if claim else next(iter(records.values())).master
    overview = await ask_master(target)
    members = {status.address: status for status in overview.members} if overview else {}
    statuses = await ask_nodes(sorted({*records, *members}))
    view = overview.view if overview else None
    return StatusReport(
        site=f"http://{claim.host}:{claim.port}/" if claim else "",
        master=target,
        master_state="up" if overview else "silent",
        view=view.view.number if view else 0,
        version=view.view.version if view else 0,
        settled=view.settled if view else False,
        nodes=tuple(
            _report(address, status, records.get(address), members.get(address), overview)
            for address, status in statuses.items()
        ),
    )


def _report(
    address: str,
    status: NodeStatus | None,
    record: NodeRecord | None,
    member: MemberStatus | None,
    overview: Overview | None,
) -> NodeReport:
    target = grpc_target(address)
    view = status.view.view if status and status.view else None
    known = member.incarnation if member else 0
    state = status.state if status else "silent"
    if status is None and member is not None and overview is not None and member.state == "down":
        state = "down"
    return NodeReport(
        label=status.label if status else record.label if record else address,
        ring_address=address,
        # One server speaks both protocols.
        seaweedfs_address=target,
        grpc_address=target,
        pid=status.pid if status else record.pid if record else None,
        incarnation=status.member.incarnation if status else known,
        state=state,
        view=view.number if view else 0,
        version=view.version if view else 0,
        held_primary=status.gauges.held_primary if status else 0,
        held_backup=status.gauges.held_backup if status else 0,
    )
