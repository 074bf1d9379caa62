"""A bound on password tries: a few per name and a few more per address, then a pause.

Attempts are counted before the password is looked at, because looking is what costs. The counters are in Django's
cache, so in memory by default: bounded, shared by the threads of this process, gone when it ends.
Behind a proxy all visitors share one address; their limit is then the proxy's.

Elsewhere: the login page (dlmsite.access.views). Login links need no bound: they cannot be guessed.
"""

import hashlib
from typing import Final

from django.core.cache import cache

WINDOW_S: Final = 300
TRIES_PER_NAME: Final = 5
TRIES_PER_ADDRESS: Final = 20


def may_try(username: str, address: str) -> bool:
    """Count one attempt and say whether it may go on."""
    # Both are counted, whatever the first says, so that names cannot be tried out behind a full address.
    within_name = _count(_name_key(username)) <= TRIES_PER_NAME
    within_address = _count(_address_key(address)) <= TRIES_PER_ADDRESS
    return within_name and within_address


def may_fail(address: str) -> bool:
    """Count a token that opened nothing, and say whether it is to be explained once more.

    Good tokens are not counted and pass all the same: 256 random bits are not guessed, however many tries there are.
    """
    return _count("token-" + _address_key(address)) <= TRIES_PER_ADDRESS


def forgive(username: str, address: str) -> None:
    """Forget the attempts of somebody who has just proved to know the password."""
    cache.delete_many([_name_key(username), _address_key(address)])


def _count(key: str) -> int:
    """Return how often `key` was counted in this window, this time included."""
    if cache.add(key, 1, WINDOW_S):
        return 1
    try:
        return cache.incr(key)
    except ValueError:  # the window ended between the two calls
        cache.set(key, 1, WINDOW_S)
        return 1


def _name_key(username: str) -> str:
    # Names come from outside: hashed, they are short and hold no odd characters.
    return "login-name-" + hashlib.sha256(username.casefold().encode()).hexdigest()


def _address_key(address: str) -> str:
    return "login-address-" + hashlib.sha256(address.encode()).hexdigest()
