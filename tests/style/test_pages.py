"""What the pages' modules must keep to, read from their text.

Elsewhere: the pages in a browser (tests/acceptance/test_everyone.py).
"""

import re

import pytest

from tests.style.sources import name_of, project_files

KEYS = "static/js/keys.js"
LISTENS = re.compile(r"""["'`](?:on)?key(?:down|up|press)["'`]|\.onkey(?:down|up|press)|\baccesskey\b""")


def listeners() -> list[str]:
    """Return the modules and templates that listen to keys themselves."""
    pages = [path for path in project_files() if name_of(path).startswith(("static/js/", "templates/"))]
    return [name_of(path) for path in pages if LISTENS.search(path.read_text(encoding="utf-8"))]


def test_every_key_is_registered_where_the_list_of_keys_is_made() -> None:
    """A key that a module listens to by itself would be missing in what `?` shows."""
    assert listeners() == [KEYS]


@pytest.mark.parametrize(
    "line",
    ['track.addEventListener("keydown", act)', "input.onkeyup = act", "make('a', {accesskey: 'x'})", "on('keypress')"],
)
def test_a_listener_is_found(line: str) -> None:
    assert LISTENS.search(line)
