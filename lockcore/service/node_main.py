"""The command line of one node: `python -m lockcore.service.node_main`.

`manage.py node` calls `main` as well. Imports nothing of the site: a node
has to stay small.

Elsewhere: what it runs (node_server).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

# gRPC reads this when it is imported: refused connections while a peer restarts are our log lines, not its.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.service.node_server import NodeSettings, run_node
from lockcore.service.problems import run_to_end


def parse(arguments: list[str]) -> NodeSettings:
    """Return the settings; ends the process where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="manage.py node",
        description="Run one lock node. With --join-seaweedfs it joins a SeaweedFS instead: see its own --help.",
    )
    parser.add_argument("--address", required=True, help="ring address host:port.grpcPort, as 127.0.0.1:8001.18001")
    parser.add_argument("--master", default="127.0.0.1:18000", help="gRPC address of the master (%(default)s)")
    parser.add_argument("--data", required=True, type=Path, help="folder of the cluster's secret and the spools")
    parser.add_argument("--label", default="", help="short name for people; default: the port")
    parser.add_argument(
        "--durability",
        choices=("backup", "async"),
        default="backup",
        help="acknowledge after the backup has it, or at once as SeaweedFS does (%(default)s)",
    )
    parser.add_argument("--no-master-s", type=float, default=600.0, help="end after so long without a master")
    given = parser.parse_args(arguments)
    label = given.label or given.address.rpartition(":")[2].partition(".")[0]
    if not label or "/" in label or label.startswith("."):
        parser.error(f"--label {given.label!r} cannot be part of a file's name: use letters and digits")
    return NodeSettings(
        address=given.address,
        master=given.master,
        data=given.data.expanduser().absolute(),
        label=label,
        durability=given.durability,
        no_master_s=given.no_master_s,
    )


def main(arguments: list[str]) -> int:
    """Run a node; return its exit code. A problem is one line on stderr."""
    settings = parse(arguments)
    logging.basicConfig(
        level=os.environ.get("LOCKRING_LOG_LEVEL", "INFO").upper(),
        format=f"%(asctime)s %(levelname)s {settings.label} %(message)s",
    )
    return run_to_end(run_node(settings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
