"""Where the lock nodes of this machine's cluster are, for commands without --target.

Elsewhere: who writes the files (dlmsite.operations, the supervisor).
"""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - small, and honest
from typing import Final

from lockcore.client.route import target_of
from lockcore.wire.addresses import GRPC_PORT_OFFSET

FILE_BYTES_MAX: Final = 65_536
GUESSES: Final = 3


def nearby_target(data_dir: Path, port: int) -> str:
    """Return the gRPC addresses of the nodes that a data folder names.

    Args:
        data_dir: folder of `manage.py up`; may not exist.
        port: of its site; where there are no files, the first nodes after it are guessed.
    """
    found = [target for path in sorted((data_dir / "nodes").glob("*.json")) if (target := _read(path))]
    guesses = [f"127.0.0.1:{port + GRPC_PORT_OFFSET + i}" for i in range(1, GUESSES + 1)]
    return ",".join(found[:64] or guesses)


def _read(path: Path) -> str | None:
    """Return the target in one file, None where it holds none."""
    try:
        with path.open("rb") as file:
            raw = json.loads(file.read(FILE_BYTES_MAX))
        return target_of(str(raw["address"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
