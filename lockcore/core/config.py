"""How a node and the master behave: delays and durability.

Elsewhere: the defaults and their reasons (limits).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lockcore.core.limits import (
    HEARTBEAT_MS,
    LEASE_MS_MAX,
    NODE_LEASE_MARGIN_MS,
    NODE_LEASE_MS,
    STABILISATION_MS,
)


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """How a node behaves.

    `durability`: "backup" acknowledges after the backup has accepted (the
    pair rule); "async" at once, as SeaweedFS does, kept for comparison.
    """

    durability: Literal["backup", "async"] = "backup"
    node_lease_ms: int = NODE_LEASE_MS
    heartbeat_ms: int = HEARTBEAT_MS


@dataclass(frozen=True, slots=True)
class MasterConfig:
    """The master's delays. `longest_lease_ms` is how long a grace lasts."""

    stabilisation_ms: int = STABILISATION_MS
    node_lease_ms: int = NODE_LEASE_MS
    margin_ms: int = NODE_LEASE_MARGIN_MS
    longest_lease_ms: int = LEASE_MS_MAX
