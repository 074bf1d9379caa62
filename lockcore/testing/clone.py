"""Copies and fingerprints of cores, some fifty times faster than `copy.deepcopy` and safe with what cannot be copied.

What is immutable (frozen dataclasses, views, rings, regions, the token mint)
is shared between copies.

Elsewhere: who needs thousands of them (exhaust).
"""

from __future__ import annotations

from copy import copy
from enum import Enum
from itertools import count
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, TypeVar

from lockcore.core.region import Region
from lockcore.core.ring import HashRing
from lockcore.core.sessions import SessionMint
from lockcore.core.tokens import TokenMint
from lockcore.core.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
ATOMS = frozenset({int, float, str, bytes, bool, type(None)})
MOMENT_NS = 300_000_000
UNSEEN = frozenset(
    {
        "token",
        "_deadlines",
        "_heap",
        "reach",
        "lease",
        "now",
        "out",
        "operations",
        "renewals",
        "gauges",
        "floor",
        "config",
    }
)
SHARED = (FunctionType, Enum, View, HashRing, Region, TokenMint, SessionMint)


def clone(thing: T) -> T:
    """Return a copy that shares nothing mutable with the original."""
    return _clone(thing, {})  # type: ignore[no-any-return]


def frozen(thing: Any, now_ns: int = 0) -> int:
    """Return a fingerprint: equal for states that behave alike where nothing expires.

    Times are left out, but for how many moments a repetition is still away;
    and what only observers see. A token says no more than its (generation, seq).
    """
    return hash(_frozen(thing, now_ns))


def _clone(thing: Any, known: dict[int, Any]) -> Any:
    kind = type(thing)
    if kind in ATOMS or isinstance(thing, SHARED) or _is_frozen(kind):
        return thing
    if kind is tuple:
        return tuple(_clone(item, known) for item in thing)
    if id(thing) in known:
        return known[id(thing)]
    if isinstance(thing, count):
        return copy(thing)
    if kind is MethodType:
        return MethodType(thing.__func__, _clone(thing.__self__, known))
    return _clone_mutable(thing, kind, known)


def _clone_mutable(thing: Any, kind: type, known: dict[int, Any]) -> Any:
    new: Any
    if kind is dict:
        new = known[id(thing)] = {}
        new.update((_clone(k, known), _clone(v, known)) for k, v in thing.items())
    elif kind is list:
        new = known[id(thing)] = []
        new.extend(_clone(item, known) for item in thing)
    elif kind is set:
        new = known[id(thing)] = {_clone(item, known) for item in thing}
    else:
        new = known[id(thing)] = object.__new__(kind)
        for name, value in _attributes(thing):
            object.__setattr__(new, name, _clone(value, known))
    return new


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    for name in getattr(type(thing), "__slots__", ()):
        if hasattr(thing, name):
            yield name, getattr(thing, name)
    yield from getattr(thing, "__dict__", {}).items()


def _is_frozen(kind: type) -> bool:
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


def _frozen(thing: Any, now_ns: int) -> Any:  # noqa: PLR0911 - a case for each kind of thing
    kind = type(thing)
    if kind in ATOMS:
        return thing
    if isinstance(thing, View):
        return thing.number
    if isinstance(thing, Enum):
        return thing.name
    if isinstance(thing, Region):
        return thing.intervals
    if isinstance(thing, HashRing | TokenMint | count | FunctionType | MethodType):
        return None
    if kind in (list, tuple):
        return tuple(_frozen(item, now_ns) for item in thing)
    if kind is dict:
        return tuple((_frozen(k, now_ns), _frozen(v, now_ns)) for k, v in thing.items())
    if kind is set:
        return frozenset(_frozen(item, now_ns) for item in thing)
    return kind.__name__, tuple(
        -((now_ns - value) // MOMENT_NS) if name == "retry_at_ns" else _frozen(value, now_ns)
        for name, value in _attributes(thing)
        if name not in UNSEEN and not (name.endswith("_ns") and name != "retry_at_ns")
    )
