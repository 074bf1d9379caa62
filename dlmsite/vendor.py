"""D3 in the browser without a build step: which packages are served, and the import map that finds them.

D3's packages ship one ES module each (`dist/<name>.mjs`), which import one another by bare name. The page's import map
sends a bare name to /static/vendor/<name>/<name>.mjs; Django's static finders send that into node_modules. Nothing
else of node_modules is served.

Elsewhere: the versions (package-lock.json), the map's place in the page (templates/importmap.html).
"""

import json
from pathlib import Path
from typing import Final

from django.http import HttpRequest
from django.templatetags.static import static
from django.utils.safestring import SafeString, mark_safe

# What the page draws with (package.json), and what that needs in turn.
PACKAGES: Final = (
    "d3-array",
    "d3-color",
    "d3-ease",
    "d3-format",
    "d3-interpolate",
    "d3-path",
    "d3-scale",
    "d3-selection",
    "d3-shape",
    "d3-time",
    "d3-time-format",
    "d3-timer",
)


def static_folders(node_modules: Path) -> list[tuple[str, Path]]:
    """Return (prefix, folder) pairs for STATICFILES_DIRS."""
    return [(f"vendor/{name}", node_modules / name / "dist") for name in PACKAGES]


def import_map(_request: HttpRequest) -> dict[str, SafeString]:
    """Context processor: `IMPORT_MAP`, the text of the page's import map."""
    imports = {name: static(f"vendor/{name}/{name}.mjs") for name in PACKAGES}
    return {"IMPORT_MAP": mark_safe(json.dumps({"imports": imports}))}  # noqa: S308 - made of our own constants
