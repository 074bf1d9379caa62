"""All that was written down of a run, put together into one history for the judge.

Elsewhere: who writes it (client, watching, store), the rules (lockcore.testing.history).
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lockcore.testing.record import Act, Deed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DEEDS: Final = "deeds-*.ndjson"
Published = tuple[int, int]
"""When the master published a view, and its number."""


def deeds_of(folder: Path, published: Iterable[Published]) -> list[Deed]:
    """Return what nodes and the master did, in the order of time; a last line that was cut off is left out."""
    views = sorted(published)
    deeds = [Deed(at_ns, "master", 0, Act.PUBLISHED, view=view) for at_ns, view in views]
    for path in sorted(folder.glob(DEEDS)):
        deeds += _read(path)
    deeds.sort(key=lambda deed: deed.at_ns)
    return list(_seen_from_afar(deeds))


def _read(path: Path) -> list[Deed]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    if not lines:
        return []
    node, incarnation = json.loads(lines[0])
    out = []
    for line in lines[1:]:
        at_ns, what, key, *rest = json.loads(line)
        # There are millions of them, about some hundred keys.
        out.append(Deed(at_ns, node, incarnation, Act(what), sys.intern(key), *rest))
    return out


def _seen_from_afar(deeds: Iterable[Deed]) -> Iterable[Deed]:
    """Add what no witness knew by itself: which view was the newest when a node started, who had told of a grant."""
    newest = 0
    told: set[tuple[str, int]] = set()
    for deed in deeds:
        match deed.what:
            case Act.PUBLISHED:
                newest = max(newest, deed.view)
            case Act.STARTED:
                yield replace(deed, view=newest)
                continue
            case Act.ACKNOWLEDGED:
                told.add((deed.key, deed.generation))
            case Act.TOOK_BACK if (deed.key, deed.generation) in told:
                yield replace(deed, what=Act.RELEASED)
                continue
            case _:
                pass
        yield deed
