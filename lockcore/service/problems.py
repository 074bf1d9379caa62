"""What a person has to change before a service can run."""

from __future__ import annotations

from typing import Final

EXIT_PROBLEM: Final = 2
EXIT_NO_MASTER: Final = 4


class ServiceProblem(Exception):  # noqa: N818 - not an error of ours: something for the reader to change
    """The service cannot run as it was told to. The text says what to do."""

    def __init__(self, text: str, exit_code: int = EXIT_PROBLEM) -> None:
        super().__init__(text)
        self.exit_code = exit_code
