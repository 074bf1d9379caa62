"""`manage.py node`: a node of Lockring's own clusters, or a member of a SeaweedFS lock ring.

Elsewhere: the one (lockcore.service.node_main), the other (lockcore.seaweed.main).
"""

from __future__ import annotations

from typing import Final

JOIN: Final = "--join-seaweedfs"


def main(arguments: list[str]) -> int:
    """Run a node of whichever kind; return its exit code. Only what that kind needs is loaded: nodes stay small."""
    if any(argument.split("=")[0] == JOIN for argument in arguments):
        from lockcore.seaweed.main import main as run  # noqa: PLC0415
    else:
        from lockcore.service.node_main import main as run  # noqa: PLC0415
    return run(arguments)
