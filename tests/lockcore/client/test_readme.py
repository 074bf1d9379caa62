"""What the README shows, run as it stands there against real nodes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.lockcore.client.conftest import ThreadedCluster

pytestmark = pytest.mark.acceptance
README = Path(__file__).resolve().parents[3] / "README.md"
SNIPPETS = [
    s for s in re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL) if "import lockcore\n" in s
]
SHOWN = "127.0.0.1:18001,127.0.0.1:18002"


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: f"{len(snippet)} characters")
def test_a_snippet_does_what_it_says(snippet: str, nodes: ThreadedCluster) -> None:
    called: list[tuple[str, Any]] = []
    names = {
        "write_report": lambda fencing_token: called.append(("write", fencing_token)),
        "roll_back": lambda: called.append(("roll back", None)),
        "save": lambda proof: called.append(("save", proof)),
    }
    assert SHOWN in snippet
    exec(compile(snippet.replace(SHOWN, nodes.target), "README.md", "exec"), names)  # noqa: S102 - our own README
    assert [what for what, _ in called] in (["write"], ["write", "save"])
    assert called[0][1] > 0


def test_both_ways_to_hold_are_shown() -> None:
    assert len(SNIPPETS) == 2
