"""The command line of a member of a SeaweedFS lock ring: `manage.py node --join-seaweedfs MASTER[,MASTER]`.

Imports nothing of the site: a node has to stay small.

Elsewhere: what it runs (node), a node of Lockring's own clusters
(lockcore.service.node_main).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import Final

# gRPC reads this when it is imported: refused connections while a filer restarts are our log lines, not its.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.node_command import JOIN
from lockcore.seaweed.node import MemberSettings, run_member
from lockcore.service.problems import run_to_end

ABOUT: Final = (
    "Be a member of the lock ring of a running SeaweedFS: serve its locks, store no files. "
    "Its filers send file writes to ring members as well, and this one refuses them: docs/seaweedfs.md says more."
)


def parse(arguments: list[str]) -> MemberSettings:
    """Return the settings; ends the process where they are wrong."""
    parser = argparse.ArgumentParser(prog="manage.py node", description=ABOUT)
    parser.add_argument(JOIN, required=True, dest="masters", metavar="MASTER[,MASTER]", help="as 127.0.0.1:9333")
    parser.add_argument("--address", required=True, help="our address on the ring, as 127.0.0.1:8901 (gRPC at 18901)")
    parser.add_argument("--group", default="", help="the filer group whose ring it is; default: the one without a name")
    given = parser.parse_args(arguments)
    masters = tuple(master.strip() for master in given.masters.split(",") if master.strip())
    if not masters:
        parser.error(f"{JOIN} names no master: write host:port, as 127.0.0.1:9333")
    return MemberSettings(address=given.address, masters=masters, group=given.group)


def main(arguments: list[str]) -> int:
    """Run a member; return its exit code. A problem is one line on stderr."""
    settings = parse(arguments)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("lockcore").setLevel(os.environ.get("LOCKRING_LOG_LEVEL", "INFO").upper())
    return run_to_end(run_member(settings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
