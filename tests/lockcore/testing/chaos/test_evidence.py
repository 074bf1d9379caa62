"""What the witnesses of several processes have written, as one history."""

import json
from pathlib import Path

from lockcore.testing.chaos.evidence import deeds_of
from lockcore.testing.record import Act


def write(folder: Path, incarnation: int, *rows: list[object]) -> None:
    """Write what one witness saw."""
    lines = [json.dumps(row) for row in ([f"n{incarnation}", incarnation], *rows)]
    (folder / f"deeds-{incarnation}.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_deeds_of_all_nodes_are_in_the_order_of_time(tmp_path: Path) -> None:
    write(tmp_path, 1, [10, "started", "", 0, 0, 0, 0], [40, "granted", "k", 9, 1, 5, 100])
    write(tmp_path, 2, [20, "started", "", 0, 0, 0, 0], [30, "accepted", "k", 9, 1, 5, 100])
    found = [(deed.at_ns, deed.node, deed.what) for deed in deeds_of(tmp_path, [(15, 5)])]
    assert found == [
        (10, "n1", Act.STARTED),
        (15, "master", Act.PUBLISHED),
        (20, "n2", Act.STARTED),
        (30, "n2", Act.ACCEPTED),
        (40, "n1", Act.GRANTED),
    ]


def test_a_node_has_started_under_the_newest_view_of_that_time(tmp_path: Path) -> None:
    """The rule that it serves below none of those needs it, and the node itself cannot know."""
    write(tmp_path, 1, [20, "started", "", 0, 0, 0, 0])
    (started,) = [d for d in deeds_of(tmp_path, [(30, 8), (15, 6), (10, 7)]) if d.what is Act.STARTED]
    assert started.view == 7


def test_a_grant_of_which_another_node_had_told_was_released_and_not_taken_back(tmp_path: Path) -> None:
    write(tmp_path, 1, [10, "granted", "k", 9, 1, 5, 1], [11, "acknowledged", "k", 9, 1, 5, 1])
    write(tmp_path, 2, [20, "took_back", "k", 9, 2, 6, 1], [21, "took_back", "k", 10, 2, 6, 1])
    assert [d.what for d in deeds_of(tmp_path, [])][2:] == [Act.RELEASED, Act.TOOK_BACK]


def test_a_line_that_a_kill_has_cut_off_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, 1, [10, "started", "", 0, 0, 0, 0])
    with (tmp_path / "deeds-1.ndjson").open("a", encoding="utf-8") as file:
        file.write('[11, "gran')
    (tmp_path / "deeds-2.ndjson").write_text("", encoding="utf-8")
    assert len(deeds_of(tmp_path, [])) == 1
