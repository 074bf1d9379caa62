"""What a person has to change before a service can run."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine

EXIT_INTERRUPTED: Final = 1
EXIT_PROBLEM: Final = 2
EXIT_NO_MASTER: Final = 4


class ServiceProblem(Exception):  # noqa: N818 - not an error of ours: something for the reader to change
    """The service cannot run as it was told to. The text says what to do."""

    def __init__(self, text: str, exit_code: int = EXIT_PROBLEM) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def run_to_end(work: Coroutine[Any, Any, int]) -> int:
    """Run a program's work and return its exit code; a problem is one line on stderr."""
    try:
        return asyncio.run(work)
    except ServiceProblem as problem:
        sys.stderr.write(f"lockring: {problem}\n")
        return problem.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
