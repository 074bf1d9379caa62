"""A node process whose way to its peers leads through proxies.

It is `lockcore.service.node_main` with one thing exchanged from outside: the
address that a channel to a peer is opened to. A ring address is also where
a node is dialled, so no option of the node could do it; and a node that is
tested should not have one.

    python -m lockcore.testing.chaos.node MAP.json --address … (node_main's options)

Elsewhere: the map's other ends (proxy).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.service import channels, node_main, peer_links
from lockcore.testing.chaos.dying import die_with_parent

if TYPE_CHECKING:
    import grpc.aio


def main(arguments: list[str]) -> int:
    """Run the node; return its exit code."""
    die_with_parent()
    routes: dict[str, str] = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))

    def open_by_map(target: str) -> grpc.aio.Channel:
        return channels.open_channel(routes.get(target, target))

    vars(peer_links)["open_channel"] = open_by_map
    return node_main.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
