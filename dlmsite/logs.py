"""Logging that never shows a login link or an API token.

Django logs the path of requests that it refuses, and the path of a login link is a secret until it is used. Every
record passes through one formatter, which replaces the secret part, in the message as well as in a traceback.

Elsewhere: which loggers there are (dlmsite.settings), what a link is (dlmsite.access.links), a token (tokens).
"""

import logging
import re

# Bare `/login/` stays as it is: what follows it is the token. Query strings of login pages go too.
_LOGIN_LINK = re.compile(r"(/login/)[^/\s\"'<>]+(/?)")
# Tokens come in a header, which nobody logs; this is for who puts one into an address by mistake.
_API_TOKEN = re.compile(r"\blkr_[A-Za-z0-9_-]+")
REDACTED = "<redacted>"


def redact(text: str) -> str:
    """Replace the token of every login link in `text`, and every API token."""
    return _API_TOKEN.sub(REDACTED, _LOGIN_LINK.sub(rf"\1{REDACTED}\2", text))


class RedactingFormatter(logging.Formatter):
    """Formats a record, then takes secrets out of what would be written."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line to write."""
        return redact(super().format(record))
