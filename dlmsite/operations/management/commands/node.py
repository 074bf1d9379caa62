"""`manage.py node`: one lock node, as a process of its own.

manage.py runs it without loading Django; this module is for `manage.py help` and `call_command`.

Elsewhere: the node (lockcore.node_command).
"""

import sys
from argparse import REMAINDER, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from lockcore.node_command import main


class Command(BaseCommand):
    """Run a node until it is told to end."""

    help = "Run one lock node (manage.py node --help says how)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """All of them are the node's own."""
        parser.add_argument("arguments", nargs=REMAINDER)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run it; its exit code is ours."""
        sys.exit(main(options["arguments"]))
