"""A register that is guarded by generations, and the rule over it (I10).

What a fencing token is for: a writer that has lost its lock without knowing
is refused, because the register has seen a higher generation. Reads carry
the generation too, or a late write could slip in between the next holder's
read and its write.

Elsewhere: who writes to it (clients).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.testing.record import Violation, Write

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class Registers:
    """One register for each key; `writes` in the order of their arrival."""

    writes: list[Write] = field(default_factory=list)
    _guards: dict[str, int] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)

    def read(self, key: str, generation: int) -> int | None:
        """Return the version, or None for a generation that was overtaken."""
        if not self._passes(key, generation):
            return None
        return self._versions.get(key, 0)

    def write(self, at_ns: int, client: str, key: str, generation: int, base: int) -> None:
        """Take a write, unless its generation was overtaken."""
        version = 0
        if self._passes(key, generation):
            version = self._versions[key] = self._versions.get(key, 0) + 1
        self.writes.append(Write(at_ns, client, key, generation, base, version))

    def _passes(self, key: str, generation: int) -> bool:
        if generation < self._guards.get(key, 0):
            return False
        self._guards[key] = generation
        return True


def check_writes(writes: Iterable[Write]) -> list[Violation]:
    """I10: each accepted write was made on top of the one before, and generations never fall."""
    found = []
    last: dict[str, Write] = {}
    for write in writes:
        if not write.accepted:
            continue
        before = last.get(write.key)
        if before is not None and (write.base != before.version or write.generation < before.generation):
            text = (
                f"{write.key}: {write.client} (generation {write.generation}) wrote on top of version {write.base}, "
                f"and {before.client} (generation {before.generation}) had made it {before.version}"
            )
            found.append(Violation("I10", text, (before, write)))
        last[write.key] = write
    return found
