"""A node process whose way to its peers leads through proxies, and that has a witness beside it.

It is `lockcore.service.node_main` with two things exchanged from outside: the
address that a channel to a peer is opened to, and the core, for one that is
watched. A ring address is also where a node is dialled, so no option of the
node could do it; and a node that is tested should not have one.

    python -m lockcore.testing.chaos.node PLAN.json --address … (node_main's options)

Elsewhere: the proxies (proxy), the witness (watching).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.service import channels, node_main, node_server, peer_links
from lockcore.testing.chaos.dying import die_with_parent
from lockcore.testing.chaos.unsafe import take_out
from lockcore.testing.chaos.watching import WatchedCore

if TYPE_CHECKING:
    import grpc.aio


@dataclass(frozen=True, slots=True)
class NodePlan:
    """How a node of a run differs from any other.

    Attributes:
        routes: gRPC target of a peer -> the proxy through which it is reached.
        folder: for the witness.
        patch: what is taken out of the node (unsafe).
    """

    routes: dict[str, str]
    folder: str
    patch: str = ""


def main(arguments: list[str]) -> int:
    """Run the node; return its exit code."""
    die_with_parent()
    plan = NodePlan(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    take_out(plan.patch)

    def open_by_map(target: str) -> grpc.aio.Channel:
        return channels.open_channel(plan.routes.get(target, target))

    vars(peer_links)["open_channel"] = open_by_map
    WatchedCore.folder = Path(plan.folder)
    vars(node_server)["NodeCore"] = WatchedCore
    return node_main.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
