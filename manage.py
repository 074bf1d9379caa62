#!/usr/bin/env python
"""Lockring's command line: `manage.py up`, `status`, `lock`, `invite` and Django's own commands.

`--data FOLDER` and the `--port P` of `up` are put into the environment before Django reads its settings, because the
database, the secret key and the cookie names follow from them; child processes inherit them.

Elsewhere: the commands (dlmsite/*/management/commands), the settings (dlmsite.settings).
"""

import os
import sys

from dlmsite.environment import EnvironmentProblem, adopt_arguments, make_data_folder

# The commands that begin an installation; all others expect to find one.
BEGINNERS = ("up", "master", "migrate")


def main(argv: list[str]) -> int:
    """Run one command; a problem with the environment ends as one line on stderr."""
    # gRPC reads this when it is imported: what it would print, we say ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if argv[1:2] == ["node"]:
        # A lock node knows nothing of Django, and without it is half as large.
        from lockcore.node_command import main as run_node  # noqa: PLC0415

        return run_node(argv[2:])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmsite.settings")
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415
    except ImportError:
        return _fail("Django is not installed here: run `make install`, then use .venv/bin/python manage.py")
    try:
        adopt_arguments(argv[1:], os.environ)
        from dlmsite.settings import DATA_DIR  # noqa: PLC0415 - a bad setting is told here, not deep inside Django

        if argv[1:2] and argv[1] in BEGINNERS:
            make_data_folder(DATA_DIR)
    except EnvironmentProblem as problem:
        return _fail(str(problem))
    try:
        execute_from_command_line(argv)
    except EnvironmentProblem as problem:  # the secret key is read late
        return _fail(str(problem))
    return 0


def _fail(text: str) -> int:
    sys.stderr.write(f"lockring: {text}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
