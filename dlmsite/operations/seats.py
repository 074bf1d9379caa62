"""Where nodes run: labels, addresses and ports of one cluster, all derived from the site's port.

Pure.

    site HTTP at P, master gRPC at P + 10000; node i: ring address "host:P+i.P+10000+i", label "ni"

Elsewhere: addresses as clients read them (lockcore.wire.addresses).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from dlmsite.environment import GRPC_PORT_OFFSET

NODES_MAX: Final = 64
_LABEL: Final = re.compile(r"n([1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True)
class Plan:
    """The ports of a cluster.

    Attributes:
        host: where master and nodes listen.
        port: the site's.
    """

    host: str
    port: int

    @property
    def master_target(self) -> str:
        """Where the master listens."""
        return f"{self.host}:{self.port + GRPC_PORT_OFFSET}"

    def address(self, label: str) -> str:
        """Return the ring address of a node.

        Raises:
            ValueError: no label of ours.
        """
        index = index_of(label)
        if index is None:
            raise ValueError(f"a label is n1 to n{NODES_MAX}, not {label!r}")
        return f"{self.host}:{self.port + index}.{self.port + GRPC_PORT_OFFSET + index}"

    def grpc_port(self, label: str) -> int:
        """Return the port that the node's process binds."""
        return int(self.address(label).rpartition(".")[2])


def index_of(label: str) -> int | None:
    """Return i of "ni"; None for anything else."""
    found = _LABEL.fullmatch(label)
    return int(found[1]) if found and int(found[1]) <= NODES_MAX else None


def next_label(taken: Collection[str]) -> str | None:
    """Return the label after the highest that was ever used; one in between if that is the last; None if all are."""
    indexes = {index for label in taken if (index := index_of(label)) is not None}
    highest = max(indexes, default=0)
    free = [i for i in (*range(highest + 1, NODES_MAX + 1), *range(1, highest)) if i not in indexes]
    return f"n{free[0]}" if free else None
