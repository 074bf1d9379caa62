"""Incident files: what is in one, that nothing gets out of it, and that it says what is missing."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.test import Client

from dlmsite.dashboard import auditquery, incident, incidentfile
from dlmsite.dashboard.auditfilter import as_utc
from dlmsite.journal.models import LockEvent, RingVersion, Violation
from dlmsite.operations.models import OperatorAction
from lockcore.core.events import Event, EventKind
from tests.dlmsite.dashboard.conftest import ADDRESSES, VIEW
from tests.dlmsite.dashboard.test_audit import BASE_NS, grants, record
from tests.dlmsite.dashboard.test_auditexport import read

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]
SECOND_NS = 10**9
MARKUP = '</script><script id="smuggled">alert(1)</script><!-- &amp; \u2028'


def fetch(client: Client, begins: int = 1, ends: int = 60) -> str:
    """Return the file of the seconds `begins` to `ends`."""
    span = f"from={BASE_NS + begins * SECOND_NS}&to={BASE_NS + ends * SECOND_NS}"
    response = client.get(f"/api/incident/?{span}")
    assert response.status_code == 200, response.content
    return read(response)


def parts(text: str, name: str) -> list[Any]:
    found = re.findall(rf'<script type="application/json" data-part="{name}">(.*?)</script>', text)
    return [json.loads(part) for part in found]


def rows(text: str) -> list[dict[str, Any]]:
    """Return the events of a file."""
    (head,) = parts(text, "head")
    return [dict(zip(head["columns"], row, strict=True)) for piece in parts(text, "events") for row in piece]


def test_a_file_holds_the_interval_and_the_picture_at_its_beginning(as_user: AsUser) -> None:
    ids = record(*grants(5), Event(EventKind.RELEASED, "k", generation=BASE_NS + 4, seq=9, view=VIEW))
    text = fetch(as_user("eve"), 3, 5)
    (head,), (end,) = parts(text, "head"), parts(text, "end")
    assert [int(row["id"]) for row in rows(text)] == ids[2:5]
    assert rows(text)[0]["wall_ns"] == str(BASE_NS + 3 * SECOND_NS)
    assert [lock[:3] for lock in head["start"]["locks"]] == [["k", "ada", str(BASE_NS + 1)]]
    assert (head["made_by"], head["labels"][ADDRESSES["n1"]]) == ("eve", "n1")
    assert (end["events"], end["cut"], end["to_ns"]) == (3, False, str(BASE_NS + 5 * SECOND_NS))
    assert (end["chain"]["checked"], end["chain"]["breaks"]) == (3, 0)
    assert re.fullmatch(r"6:[0-9a-f]{32}", end["chain"]["head"])


def test_views_actions_and_violations_of_the_interval_are_in_it(as_user: AsUser) -> None:
    record(*grants(9))
    at_ns = BASE_NS + 4 * SECOND_NS
    RingVersion.objects.create(number=VIEW - 9, version=VIEW - 9, members=[], at_ns=at_ns, settled_at_ns=at_ns + 1)
    OperatorAction.objects.create(who="ada", what="kill", target="n3", requested_at_ns=at_ns)
    evidence = [{"kind": "granted", "key": MARKUP, "wall_ns": at_ns, "source": "n"}] * 2
    Violation.objects.create(mark="m", rule="I1", text="two holders", evidence=evidence, found_at_ns=at_ns)
    (end,) = parts(fetch(as_user("eve")), "end")
    assert [view["at_ns"] for view in end["views"]] == [str(at_ns)]
    assert end["views"][0]["settled_ns"] == str(at_ns + 1)
    assert [(a["who"], a["what"], a["target"]) for a in end["actions"]] == [("ada", "kill", "n3")]
    assert [(v["rule"], v["first"]["key"]) for v in end["violations"]] == [("I1", MARKUP)]


def test_what_people_chose_cannot_get_out_of_its_place(as_user: AsUser) -> None:
    """A lock's name is anything, and the file is opened by people with no server between them and it."""
    record(Event(EventKind.GRANTED, MARKUP, owner=MARKUP, generation=BASE_NS, seq=1, view=VIEW, detail=MARKUP))
    text = fetch(as_user("eve"))
    assert rows(text)[0]["key"] == MARKUP
    assert "smuggled" in text
    assert '<script id="smuggled"' not in text
    assert len(re.findall(r"<script", text)) == len(re.findall(r"</script>", text)) == 4


def test_the_files_policy_admits_its_own_script_and_style_and_nothing_else(as_user: AsUser) -> None:
    record(*grants(1))
    text = fetch(as_user("eve"))
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert found
    policy = dict(part.strip().split(" ", 1) for part in html.unescape(found.group(1)).split(";"))
    script = text[text.rindex("<script>") + 8 : text.rindex("</script>")]
    style = text[text.index("<style>") + 7 : text.index("</style>")]
    for name, inside in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert policy[name] == f"'sha256-{digest}'"
    assert {name: policy[name] for name in ("default-src", "base-uri", "form-action")} == {
        "default-src": "'none'", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    assert not re.search(r"https?://(?!d3js\.org|www\.w3\.org)|<link|<img|src=", text.split("<script>")[0])


def test_an_interval_with_more_than_fits_ends_where_it_was_cut_and_says_so(
    as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident, "EVENTS_MAX", 5)
    monkeypatch.setattr(incident, "PIECE_ROWS", 2)
    ids = record(*grants(9))
    text = fetch(as_user("eve"))
    (end,) = parts(text, "end")
    assert [int(row["id"]) for row in rows(text)] == ids[:5]
    assert (end["cut"], end["to_ns"]) == (True, str(BASE_NS + 5 * SECOND_NS))
    assert as_utc(BASE_NS + 5 * SECOND_NS) in end["says"][0]


def test_an_interval_that_just_fits_is_not_cut(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident, "EVENTS_MAX", 5)
    record(*grants(5))
    (end,) = parts(fetch(as_user("eve")), "end")
    assert (end["events"], end["cut"], end["says"]) == (5, False, [])


def test_keys_that_are_long_fill_a_file_too(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty thousand names of 4,096 bytes would make a file that no browser opens."""
    monkeypatch.setattr(incident, "BYTES_MAX", 10_000)
    record(*(Event(EventKind.GRANTED, "x" * 4_000, generation=BASE_NS + n, seq=1, view=VIEW) for n in range(5)))
    (end,) = parts(fetch(as_user("eve")), "end")
    assert (end["events"], end["cut"]) == (2, True)


def test_locks_that_do_not_fit_are_counted(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident, "START_BYTES_MAX", 250)
    record(*(Event(EventKind.GRANTED, f"k{n}", generation=BASE_NS + n, seq=1, view=VIEW) for n in range(9)))
    text = fetch(as_user("eve"), 9, 60)
    (head,), (end,) = parts(text, "head"), parts(text, "end")
    assert 0 < len(head["start"]["locks"]) < 8
    assert f"{8 - len(head['start']['locks'])} locks" in end["says"][0]


def test_a_row_that_was_changed_is_named(as_user: AsUser) -> None:
    ids = record(*grants(5))
    LockEvent.objects.filter(pk=ids[2]).update(owner="somebody else")
    chain = parts(fetch(as_user("eve")), "end")[0]["chain"]
    assert chain["breaks"] == 1
    assert f"row {ids[2]} " in chain["found"][0]


def test_rows_before_the_interval_are_vouched_for_by_the_seal_before_it(as_user: AsUser) -> None:
    """Only the interval is verified: what was changed long before it is another matter, and costs nothing here."""
    ids = record(*grants(5))
    LockEvent.objects.filter(pk=ids[0]).update(owner="somebody else")
    chain = parts(fetch(as_user("eve"), 3, 60), "end")[0]["chain"]
    assert (chain["checked"], chain["breaks"]) == (3, 0)


def test_a_journal_that_fails_midway_leaves_a_file_without_its_end(
    as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script comes last, so that half a file shows the sentence that it is half."""
    record(*grants(3))

    def fails(*_args: object, **_named: object) -> None:
        raise DatabaseError("disk I/O error")

    monkeypatch.setattr(auditquery, "page", fails)
    text = fetch(as_user("eve"))
    assert (len(parts(text, "head")), parts(text, "end"), "<script>" in text) == (1, [], False)
    assert "This file does not replay" in text


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 400, "Say from when to when"),
        ("from=nonsense&to=5", 400, "from is no time"),
        (f"from={BASE_NS + 5}&to={BASE_NS}", 400, "later than"),
        ("from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z", 404, "oldest event that is kept"),
        ("from=2200-01-01T00:00:00Z&to=2200-01-02T00:00:00Z", 404, "newest event is of"),
        (f"from={BASE_NS}&to={BASE_NS}&key=k", 400, "no parameter"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_reason(as_user: AsUser, query: str, status: int, says: str) -> None:
    record(*grants(2))
    response = as_user("eve").get(f"/api/incident/?{query}")
    assert (response.status_code, says in response.json()["detail"]) == (status, True), response.content


def test_too_many_at_once_are_refused(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    record(*grants(1))
    monkeypatch.setattr(incidentfile, "_running", {1, 2})
    response = as_user("eve").get(f"/api/incident/?from={BASE_NS}&to={BASE_NS + 60 * SECOND_NS}")
    assert response.status_code == 429


def test_a_file_that_is_done_makes_room_for_the_next(as_user: AsUser) -> None:
    record(*grants(1))
    for _ in range(incidentfile.RUNNING_MAX + 1):
        fetch(as_user("eve"))


def test_nobody_gets_one_without_a_login(as_user: AsUser) -> None:
    path = f"/api/incident/?from={BASE_NS}&to={BASE_NS + 1}"
    assert Client().get(path).status_code == 401
    assert as_user("nobody").get(path).status_code == 403
    assert as_user("eve").post(path).status_code == 405


# --- from a shell -----------------------------------------------------------------------------------------------------


def test_the_command_writes_the_same_file_and_never_over_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(*grants(3))
    path = tmp_path / "i.html"
    span = {"begins": str(BASE_NS), "ends": str(BASE_NS + 60 * SECOND_NS)}
    call_command("incident", **span, output=str(path))
    assert len(rows(path.read_text())) == 3
    assert "3 events" in capsys.readouterr().out
    with pytest.raises(CommandError, match="exists already"):
        call_command("incident", **span, output=str(path))
    assert [found.name for found in tmp_path.iterdir()] == ["i.html"]


@pytest.mark.parametrize(("begins", "says"), [("yesterday", "is no time"), ("2200-01-01T00:00:00Z", "newest event")])
def test_the_command_says_what_is_wrong_and_leaves_nothing(tmp_path: Path, begins: str, says: str) -> None:
    record(*grants(1))
    with pytest.raises(CommandError, match=says):
        call_command("incident", begins=begins, ends="2201-01-01T00:00:00Z", output=str(tmp_path / "i.html"))
    assert list(tmp_path.iterdir()) == []
