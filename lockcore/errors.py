"""What can go wrong with a lock, as the user of a client meets it.

Both faces of the client, asyncio and blocking, raise these and only these.
Every message says what to do. None carries a renew token.

Elsewhere: refusals as nodes speak them (lockcore.core.operations.Code).
"""

from __future__ import annotations


class LockError(Exception):
    """Base of everything that a client raises."""


class InvalidRequest(LockError, ValueError):  # noqa: N818 - named for what it is; the base carries "Error"
    """The request itself cannot be: a key, owner, ttl or address. Retrying does not help."""


class Unsupported(LockError):  # noqa: N818 - same
    """This kind of cluster does not offer what was asked for (SeaweedFS filers: sessions, byte ranges, watching)."""


class NotAcquired(LockError):  # noqa: N818 - same
    """Somebody else holds the lock, and the time to wait for it is over.

    Attributes:
        key: the lock.
        owner: who holds it, as they call themselves; empty where nobody could say.
    """

    def __init__(self, text: str, *, key: str, owner: str) -> None:
        super().__init__(text)
        self.key = key
        self.owner = owner


class LockLost(LockError):  # noqa: N818 - same
    """A lock that was held is held no longer: what it protected may have changed.

    Attributes:
        key: the lock.
        generation: its fencing token while it was held.
    """

    def __init__(self, text: str, *, key: str, generation: int) -> None:
        super().__init__(text)
        self.key = key
        self.generation = generation


class SessionLost(LockError):  # noqa: N818 - same
    """The session is over: nothing is held through it any more. Open another, and ask again for what is needed."""


class RangeRefused(LockError):  # noqa: N818 - same
    """A byte-range lock was refused, as fcntl(2) refuses.

    Attributes:
        errno: the number, as in the module `errno` (EAGAIN, EDEADLK, EINVAL, EOVERFLOW, ENOLCK, ...).
        held_by: who is in the way, as (label, kind, start, length); None where that is not it.
    """

    def __init__(self, text: str, *, errno: int, held_by: tuple[str, str, int, int] | None) -> None:
        super().__init__(text)
        self.errno = errno
        self.held_by = held_by


class ClusterUnavailable(LockError):  # noqa: N818 - same
    """No lock node gave an answer that settles the question, in the time allowed."""
