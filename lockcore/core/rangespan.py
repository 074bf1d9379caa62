"""Which bytes l_start and l_len mean, and when they mean none: as the kernel reads a struct flock.

Elsewhere: what is locked there (ranges).
"""

from __future__ import annotations

from lockcore.core.rangerecords import OFFSET_MAX, Denied, Errno, Span


def span_of(start: int, length: int) -> Span | Denied:
    """Return the bytes that a start and a length mean, from the file's start.

    Args:
        start: l_start in bytes; any int, also beyond 64 bits.
        length: l_len in bytes; 0 is to the end of the file, a negative one
            means the bytes before `start`.
    Returns:
        The span; or `Denied` with EINVAL (a byte before the first) or
        EOVERFLOW (a byte after OFFSET_MAX), in the kernel's order.
    Source: flock64_to_posix_lock() in Linux's fs/locks.c.
    """
    if start > OFFSET_MAX:
        return Denied(Errno.EOVERFLOW, f"the range starts after the last byte there can be, {OFFSET_MAX}")
    if start < 0:
        return Denied(Errno.EINVAL, "the range starts before the first byte: give a start of 0 or more")
    if start + length < 0:
        return Denied(Errno.EINVAL, "the range reaches back before the first byte: give a shorter length")
    if start + length - 1 > OFFSET_MAX:
        return Denied(Errno.EOVERFLOW, f"the range ends after the last byte there can be, {OFFSET_MAX}")
    if length == 0:
        return Span(start, OFFSET_MAX)
    return Span(min(start, start + length), max(start, start + length) - 1)
