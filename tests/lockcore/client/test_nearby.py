"""Without --target, commands find the nodes of the data folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lockcore.client.nearby import nearby_target

if TYPE_CHECKING:
    from pathlib import Path


def test_the_nodes_that_the_folder_names_are_the_target(tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    for i in (1, 2):
        address = f"127.0.0.1:900{i}.1900{i}"
        (tmp_path / "nodes" / f"n{i}.json").write_text(json.dumps({"label": f"n{i}", "address": address, "pid": 1}))
    assert nearby_target(tmp_path, 8000) == "127.0.0.1:19001,127.0.0.1:19002"


def test_files_that_say_nothing_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    for i, text in enumerate(["", "{", "[]", '{"address": "nowhere"}', '{"address": "h:1.2"}', "\xff"]):
        (tmp_path / "nodes" / f"n{i}.json").write_text(text, encoding="latin-1")
    assert nearby_target(tmp_path, 8000) == "h:2"


def test_without_a_folder_the_first_nodes_are_guessed(tmp_path: Path) -> None:
    assert nearby_target(tmp_path / "none", 8000) == "127.0.0.1:18001,127.0.0.1:18002,127.0.0.1:18003"
