"""The names on the wire: services, methods, metadata.

Elsewhere: messages (the .proto files beside this), handlers (lockcore.service).
"""

from __future__ import annotations

from typing import Final

LOCKS: Final = "lockring.v1.Locks"
PEERS: Final = "lockring.v1.Peers"
MASTER: Final = "lockring.v1.Master"
REHEARSAL: Final = "lockring.v1.Rehearsal"
OPERATORS: Final = "lockring.v1.Operators"
SEAWEED_FILER: Final = "filer_pb.SeaweedFiler"
SEAWEED_MASTER: Final = "master_pb.Seaweed"

CLUSTER_METADATA: Final = "x-lockring-cluster"
"""Carries `derive(cluster secret, "cluster")` in hex, on calls between the
processes of one cluster."""


def path(service: str, method: str) -> str:
    """Return the path of a gRPC method."""
    return f"/{service}/{method}"


CONVERSE: Final = path(LOCKS, "Converse")
STATUS: Final = path(LOCKS, "Status")
INSPECT: Final = path(LOCKS, "Inspect")
LEASES: Final = path(LOCKS, "Leases")
SESSIONS: Final = path(LOCKS, "Sessions")
LINK: Final = path(PEERS, "Link")
ISOLATE: Final = path(REHEARSAL, "Isolate")
ISOLATED: Final = path(REHEARSAL, "Isolated")
FORCE_RELEASE: Final = path(OPERATORS, "ForceRelease")
ATTEND: Final = path(MASTER, "Attend")
REPORT: Final = path(MASTER, "Report")
WATCH: Final = path(MASTER, "Watch")
OVERVIEW: Final = path(MASTER, "Overview")
KEEP_CONNECTED: Final = path(SEAWEED_MASTER, "KeepConnected")
MASTER_PING: Final = path(SEAWEED_MASTER, "Ping")
