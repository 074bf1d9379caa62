"""What is looked for, read from an address."""

import pytest
from django.test import RequestFactory

from dlmsite.dashboard.auditfilter import NS_MAX, NS_PER_MS, NS_PER_S, Filter, as_utc, parse_time, read_filter
from dlmsite.dashboard.problems import Refusal

N1 = "127.0.0.1:8001.18001"
MOMENT_NS = 1_795_269_780 * NS_PER_S  # 2026-11-21T14:03:00Z


def read(**asked: str) -> Filter:
    return read_filter(RequestFactory().get("/", asked), {"n1": N1})


def test_a_filter_says_what_the_address_says() -> None:
    assert read(key="a", owner="ada", kind="granted,released,granted", view="7") == Filter(
        key="a", owner="ada", kinds=("granted", "released"), view=7
    )
    assert read() == Filter()


def test_a_node_is_named_by_label_or_by_address() -> None:
    assert read(node="n1").node == read(node=N1).node == N1
    assert read(node="master").node == "master"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T14:03:00Z",
        "2026-11-21T14:03",
        "2026-11-21 14:03:00",
        "2026-11-21T15:03:00+01:00",
        str(MOMENT_NS),
        str(MOMENT_NS // NS_PER_MS),
    ],
)
def test_a_time_is_said_in_any_of_the_usual_ways(text: str) -> None:
    assert parse_time(text) == MOMENT_NS


def test_a_time_keeps_its_nanoseconds() -> None:
    assert parse_time("2026-11-21T14:03:00.000000001Z") == MOMENT_NS + 1
    assert parse_time(as_utc(MOMENT_NS + 123_456_789)) == MOMENT_NS + 123_456_789


@pytest.mark.parametrize("text", ["yesterday", "14:03", "2026-13-01", "20261121", "-5", "1e9", "\u0661" * 13, "now()"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_time(text) is None


def test_times_beyond_all_rows_are_times() -> None:
    assert parse_time("0001-01-01") == 0
    assert parse_time("9999-12-31T23:59:59Z") == NS_MAX


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"kind": "granted,eaten"}, "There is no kind 'eaten'"),
        ({"from": "soon"}, "from is no time: 'soon'. Write it such as"),
        ({"from": "2026-11-22", "to": "2026-11-21"}, "from is later than to"),
        ({"key": "a", "prefix": "b"}, "key or prefix, not both"),
        ({"key": "x" * 4097}, "at most 4,096 bytes"),
        ({"view": "-1"}, "view must be a whole number"),
        ({"view": str(2**63)}, "view must be a whole number"),
        ({"text": "x" * 201}, "text has at most 200 characters"),
        ({"owner": "a\0"}, "owner has no NUL"),
        ({"operator": "ada", "kind": "granted"}, "of kind operator"),
        ({"operator": "ada", "owner": "eve"}, "say owner or operator"),
    ],
)
def test_nonsense_is_refused_with_what_would_be_right(asked: dict[str, str], told: str) -> None:
    with pytest.raises(Refusal) as refused:
        read(**asked)
    assert told in refused.value.detail


def test_half_a_letter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    request = RequestFactory().get("/")
    monkeypatch.setattr(request, "GET", {"text": "\ud800"})
    with pytest.raises(Refusal, match="UTF-8"):
        read_filter(request, {})
