"""What people read goes through a catalogue, so that it can be translated.

Elsewhere: reading the modules (tools/texts.mjs), collecting the words (tests/words/collect.py).
"""

import json
import re
import subprocess
from functools import cache
from typing import Any

from tests.style.sources import ROOT, name_of, project_files
from tests.words.collect import collect, in_modules

HOLE = re.compile(r"\{(\w+)\}")

# Words that only developers or machines read: complaints about our own mistakes, class names, names of elements.
NOT_FOR_PEOPLE = {
    "static/js/chartview.js": {"line all"},
    "static/js/dom.js": {"The page has no {} with the id {}"},
    "static/js/keydialog.js": {"num"},
    "static/js/keys.js": {"INPUT", "SELECT", "TEXTAREA"},
    "static/js/nodestable.js": {"sub note", "sub refused", "state", "num", "num view"},
    "static/js/rehearse.js": {"stop rehearsal"},
    "static/js/ringview.js": {"This browser has no 2D canvas"},
    "static/js/socket.js": {"The server sent something that is not JSON; it was dropped."},
    "static/js/spacetimemodel.js": {"handed over"},
    "static/js/spacetimetable.js": {"num"},
    "static/js/timeline.js": {"The line of time has no picture"},
    "static/js/timelinestrip.js": {"cursor anchor", "cursor live"},
}
# Modules whose words are not collected yet, each with the reason.
PENDING: dict[str, str] = {}


def read_modules(*files: str) -> dict[str, Any]:
    """Return the messages and the loose words of modules, as tools/texts.mjs has them."""
    command = ["tools/js", "node", "tools/texts.mjs", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@cache
def loose_words() -> dict[str, list[str]]:
    """Return what looks like words for people outside of gettext, by module."""
    modules = [name_of(path) for path in project_files() if name_of(path).startswith("static/js/")]
    found: dict[str, list[str]] = {}
    for file, line, text in read_modules(*modules)["loose"]:
        if text not in NOT_FOR_PEOPLE.get(file, ()):
            found.setdefault(file, []).append(f"{file}:{line}: {text}")
    return found


def test_what_a_module_says_to_people_is_translated() -> None:
    """Wrap it in gettext or ngettext of static/js/text.js."""
    found = [line for file, lines in loose_words().items() if file not in PENDING for line in lines]
    assert not found, "\n".join(found)


def test_the_collected_words_are_those_of_the_sources() -> None:
    """`make messages` writes them anew."""
    for domain, text in collect().items():
        assert (ROOT / "locale" / f"{domain}.pot").read_bytes() == text, "run `make messages`"


def test_what_stands_for_a_value_stands_in_both_numbers() -> None:
    """A translator sees the singular; a name that only the plural has would be filled in by nobody."""
    modules = [path for path in project_files() if name_of(path).startswith("static/js/")]
    pairs = [(one, many) for _, one, many in in_modules(modules) if many is not None]
    assert len(pairs) > 20
    assert [pair for pair in pairs if len({frozenset(HOLE.findall(text)) - {"count"} for text in pair}) > 1] == []


def test_no_module_is_excused_that_needs_it_no_more() -> None:
    assert set(PENDING) <= set(loose_words())
