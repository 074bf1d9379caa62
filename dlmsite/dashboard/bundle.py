"""ES modules as one script without imports, for a page that has no server to fetch them from.

    import { a, b as c } from "./x.js"   ->   const { a, b: c } = $1;
    export function a() {}               ->   function a() {}  ...  return { a };

Each module becomes a function that is called once, after those it imports. This is no JavaScript parser: it knows the
forms that our modules and D3's have (statements that begin a line), and refuses what it does not know.

Invariants
  B1  What cannot be bundled is refused when the script is made, not in somebody's browser.
  B2  The script cannot end the element that it stands in.
Elsewhere: who needs it (incidentfile), the same modules in a page (templates/importmap.html).
"""

import posixpath
import re
from collections.abc import Callable
from typing import Final

_IMPORT: Final = re.compile(r"""^import \{(?P<names>[^}]*)\} from ["'](?P<path>[^"']+)["'];$""", re.MULTILINE)
_DECLARED: Final = re.compile(
    r"^export (?P<what>async function\*?|function\*?|class|const|let) (?P<name>[A-Za-z_$][\w$]*)", re.MULTILINE
)
_LISTED: Final = re.compile(r"^export \{(?P<names>[^}]*)\};$", re.MULTILINE)
_LEFT: Final = re.compile(r"^(import|export)\b.*", re.MULTILINE)
_ENDS_ELEMENT: Final = re.compile(r"</script|<!--", re.IGNORECASE)

Read = Callable[[str], str]
"""Returns a module's text by its path, or by its bare name."""


class BundleError(ValueError):
    """A module has a form that is not known here."""


def bundle(entry: str, read: Read) -> str:
    """Return one script that does what the module `entry` does.

    Raises:
        BundleError: a module cannot be bundled; says which and why.
    """
    modules = _Modules(read)
    modules.add(entry, ())
    script = "\n".join(['"use strict";', "(() => {", *modules.done, "})();", ""])
    if found := _ENDS_ELEMENT.search(script):
        raise BundleError(f"the script would end its element: {found.group(0)!r}")
    return script


class _Modules:
    """Modules in the order in which they can be called."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._names: dict[str, str] = {}
        self.done: list[str] = []

    def add(self, path: str, importers: tuple[str, ...]) -> str:
        """Return the name of a module's exports, after it and all it imports are there."""
        if path in importers:
            raise BundleError(f"modules import one another in a circle: {' -> '.join((*importers, path))}")
        if path not in self._names:
            body = self._body(path, (*importers, path))
            name = f"$module{len(self._names)}"
            self._names[path] = name
            self.done.append(f"// {path}\nconst {name} = (() => {{\n{body}\n}})();")
        return self._names[path]

    def _body(self, path: str, importers: tuple[str, ...]) -> str:
        exported: list[str] = []

        def bring(found: re.Match[str]) -> str:
            name = self.add(_resolved(found["path"], path), importers)
            return f"const {{ {', '.join(_renamed(found['names'], ': '))} }} = {name};"

        def declare(found: re.Match[str]) -> str:
            exported.append(found["name"])
            return f"{found['what']} {found['name']}"

        def give(found: re.Match[str]) -> str:
            exported.extend(": ".join(reversed(pair.split(": "))) for pair in _renamed(found["names"], ": "))
            return ""

        text = _LISTED.sub(give, _DECLARED.sub(declare, _IMPORT.sub(bring, self._read(path))))
        if left := _LEFT.search(text):
            raise BundleError(f"{path} has a form that is not known here: {left.group(0)!r}")
        return f"{text.strip()}\nreturn {{ {', '.join(exported)} }};"


def _renamed(names: str, between: str) -> list[str]:
    """Return `a, b as c` as ["a", "b" + between + "c"]."""
    return [between.join(part.split(" as ")).strip() for part in names.replace("\n", " ").split(",") if part.strip()]


def _resolved(path: str, importer: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), path)) if path.startswith(".") else path
