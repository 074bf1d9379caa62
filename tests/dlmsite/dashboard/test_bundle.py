"""ES modules as one script: it does what the modules do, and what is not known is refused."""

import json
import shutil
import subprocess
from collections.abc import Mapping

import pytest

from dlmsite.dashboard import incidentfile
from dlmsite.dashboard.bundle import BundleError, bundle


def of(modules: Mapping[str, str]) -> str:
    return bundle("js/main.js", modules.__getitem__)


def run(script: str) -> object:
    """Return what a script prints as JSON."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here to run the script")
    done = subprocess.run([node, "-"], input=script, capture_output=True, check=True, text=True, timeout=60)
    return json.loads(done.stdout)


def test_a_bundle_does_what_its_modules_do() -> None:
    """Names that two modules both have stay apart; what is renamed on its way arrives under its new name."""
    modules = {
        "js/main.js": 'import { add, VALUE as theirs } from "./sub/math.js";\nimport { half } from "lib";\n'
        'import {\n  Counter,\n} from "./sub/count.js";\nconst VALUE = 1;\n'
        "console.log(JSON.stringify([add(VALUE, theirs), half(9), new Counter().next()]));\n",
        "js/sub/math.js": "export const VALUE = 40;\nexport function add(a, b) {\n  return a + b;\n}\n",
        "js/sub/count.js": 'import { add } from "./math.js";\nexport class Counter {\n  #at = 0;\n  next() {\n'
        "    this.#at = add(this.#at, 1);\n    return this.#at;\n  }\n}\n",
        "lib": "function inner(x) { return x / 2; }\n\nexport { inner as half };\n",
    }
    assert run(of(modules)) == [41, 4.5, 1]


def test_a_module_that_many_import_is_called_once_and_before_them() -> None:
    modules = {
        "js/main.js": 'import { a } from "./a.js";\nimport { b } from "./b.js";\n'
        "console.log(JSON.stringify([a, b]));\n",
        "js/a.js": 'import { next } from "./n.js";\nexport const a = next();\n',
        "js/b.js": 'import { next } from "./n.js";\nexport const b = next();\n',
        "js/n.js": "let at = 0;\nexport function next() {\n  return (at += 1);\n}\n",
    }
    script = of(modules)
    assert script.count("let at = 0") == 1
    assert run(script) == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        'import * as all from "./a.js";',
        'import whole from "./a.js";',
        'import "./a.js";',
        "export default function () {}",
        'export * from "./a.js";',
        'export { a } from "./a.js";',
        "export const { a, b } = both;",
    ],
)
def test_a_form_that_is_not_known_is_refused_and_named(text: str) -> None:
    """Else the page would be made and fail in somebody's browser, far from whoever could mend it."""
    with pytest.raises(BundleError, match=r"js/main\.js has a form that is not known here"):
        of({"js/main.js": f"{text}\n", "js/a.js": "export const a = 1;\n"})


def test_modules_in_a_circle_are_refused() -> None:
    modules = {"js/main.js": 'import { a } from "./a.js";\n', "js/a.js": 'import { b } from "./main.js";\n'}
    with pytest.raises(BundleError, match="circle"):
        of(modules)


@pytest.mark.parametrize("text", ["</script>", "</SCRIPT ", "<!--"])
def test_a_script_that_would_end_its_element_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match="end its element"):
        of({"js/main.js": f'const text = "{text}";\n'})


def test_the_incident_pages_own_modules_can_be_bundled() -> None:
    script = incidentfile.script()
    assert "class Incident" in script
    assert "class RingView" in script
