"""The files of this project, as the style tests see them.

Elsewhere: what is demanded of them (the tests beside this module).
"""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
GENERATED = ("lockcore/wire/gen/", "/migrations/")


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that git tracks or would track, so nothing that `make` or a run has made."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = (ROOT / name for name in sorted(set(listed.stdout.decode().split("\0"))) if name)
    return tuple(path for path in paths if path.is_file())


def python_modules(*tops: str) -> list[Path]:
    """Written (not generated) Python files, of the top-level folders `tops` or of all."""
    found = [path for path in project_files() if path.suffix == ".py" and not is_generated(path)]
    return [path for path in found if not tops or name_of(path).split("/")[0] in tops]


def is_generated(path: Path) -> bool:
    """Say whether a tool wrote it."""
    return any(part in f"{name_of(path)}" for part in GENERATED)


def name_of(path: Path) -> str:
    """Return the path as people say it: from the project's root, with slashes."""
    return path.relative_to(ROOT).as_posix()
