"""What the codecs raise."""

from __future__ import annotations


class CodecError(ValueError):
    """Bytes that are no message of ours, or a message that cannot be bytes.

    The text says what is wrong and is safe to send back: it never holds a
    token or more than a name of the offending field.
    """
