"""Nothing of the machine that it was written on is in the repository, and the page names nobody else's server."""

import re

import pytest

from tests.style.sources import name_of, project_files

LOCKS = {"package-lock.json", "requirements.txt", "requirements-dev.txt", ".npmrc"}
BINARY = {".png", ".jpg", ".gif", ".ico", ".woff2", ".webp"}

# Assembled, so that this file is not its own finding.
MACHINE = re.compile("|".join([r"/" + r"home/\w+/", r"/" + r"Users/\w+/", r"(?<![\w.$}])/" + r"work/", r"/" + "root/"]))
REGISTRY = re.compile(
    "|".join(
        [r'"resolved":\s*"http', r"registry\s*=", r"--(extra-)?index-url", r"--find-links\s", r"--trusted-host\s"]
        + [re.escape(host) for host in ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org")]
    )
)
# Addresses of namespaces are names, not places to load from.
ELSEWHERE = re.compile(r"""(?:src|href|url|import|from)\s*[=(]?\s*["']?(?:https?:)?//(?!www\.w3\.org/)""")


def findings(pattern: re.Pattern[str], names: list[str]) -> list[str]:
    by_name = {name_of(path): path for path in project_files()}
    found = []
    for name in names:
        lines = by_name[name].read_text(encoding="utf-8").splitlines()
        found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    return found


def text_files() -> list[str]:
    return [name_of(path) for path in project_files() if path.suffix not in BINARY]


def test_no_path_of_somebodys_machine_is_committed() -> None:
    assert findings(MACHINE, text_files()) == []


def test_lock_files_name_no_registry() -> None:
    """Where packages come from is each installation's own choice; what they are is pinned by hash."""
    present = sorted(LOCKS & set(text_files()))
    assert present == sorted(LOCKS)
    assert findings(REGISTRY, present) == []


def test_every_locked_package_has_a_hash() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        (path,) = [path for path in project_files() if name_of(path) == name]
        entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", path.read_text(encoding="utf-8")).strip())
        assert len(entries) > 10
        assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_page_loads_nothing_from_elsewhere() -> None:
    pages = [name for name in text_files() if name.startswith(("static/", "templates/"))]
    assert findings(ELSEWHERE, pages) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE, "data = '/" + "home/ada/x'"),
        (MACHINE, "see /" + "work/notes"),
        (REGISTRY, '"resolved": "http' + 's://somewhere/x.tgz"'),
        (REGISTRY, "--" + "index-url https://somewhere/simple"),
        (ELSEWHERE, '<script src="https://cdn.example/d3.js">'),
        (ELSEWHERE, "@import '//fonts.example/x.css'"),
    ],
)
def test_these_checks_can_fail(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)
