"""Collect the words of the pages into locale/*.pot: `make messages`.

`django.pot` has those of the templates and of Python, `djangojs.pot` those of the pages' modules. A translation into
CODE is made from them with Babel or gettext, and lies in `CODE/LC_MESSAGES/` as django.mo and djangojs.mo.

Invariants
  M1  The same sources make the same bytes: no date, no line numbers, sorted by file and text.
Elsewhere: reading the modules (tools/texts.mjs), who finds the translations (dlmsite.languages).
"""

import ast
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from django.utils.translation.template import templatize

ROOT: Final = Path(__file__).resolve().parents[2]
Message = tuple[str, str, str | None]
"""the file, a text, and its plural where it has one"""
# How Django's templatize writes down what it found in a template.
CALL: Final = re.compile(
    r"(n?)gettext\(((?:u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\"\"\".*?\"\"\"),?\s*)+)", re.DOTALL
)
ONE, MANY = {"gettext", "gettext_lazy"}, {"ngettext", "ngettext_lazy"}


def in_templates(paths: Iterable[Path]) -> Iterator[Message]:
    """Read {% translate %} and {% blocktranslate %}."""
    for path in paths:
        for plural, arguments in CALL.findall(templatize(path.read_text(encoding="utf-8"))):
            texts = ast.literal_eval(f"[{arguments.strip().rstrip(',')}]")
            yield _name(path), texts[0], texts[1] if plural else None


def in_python(paths: Iterable[Path]) -> Iterator[Message]:
    """Read calls of gettext and ngettext."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if name in ONE | MANY:
                texts = [ast.literal_eval(argument) for argument in node.args[: 1 + (name in MANY)]]  # type: ignore[attr-defined]
                yield _name(path), texts[0], texts[1] if name in MANY else None


def in_modules(paths: Iterable[Path]) -> Iterator[Message]:
    """Read the pages' modules, by their syntax trees."""
    command = [str(ROOT / "tools/js"), "node", "tools/texts.mjs", *map(_name, paths)]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    yield from (tuple(message) for message in json.loads(found)["messages"])


def collect() -> dict[str, bytes]:
    """Return the text of each .pot by its domain."""
    pages = [
        *in_templates(sorted((ROOT / "templates").rglob("*.html"))),
        *in_python(sorted((ROOT / "dlmsite").rglob("*.py"))),
    ]
    return {
        "django": _pot(pages, "python-format"),
        "djangojs": _pot(in_modules(sorted((ROOT / "static/js").glob("*.js"))), "python-brace-format"),
    }


def _pot(messages: Iterable[Message], style: str) -> bytes:
    catalog = Catalog(project="Lockring", fuzzy=False, charset="utf-8")
    for file, one, many in sorted(messages, key=lambda message: (message[0], message[1], message[2] or "")):
        holes = "%(" in one if style == "python-format" else "{" in one
        catalog.add((one, many) if many else one, locations=[(file, 0)], flags=[style] if holes else [])
    out = BytesIO()
    write_po(out, catalog, omit_header=True, include_lineno=False, sort_by_file=False, width=120)
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n\n'
    return head.encode() + out.getvalue()


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
