"""API tokens: made on the command line, shown once, and accepted below /api/ and at /metrics.

A token has a scope instead of a role: `read` sees what a viewer sees, `operate` may also act.

Invariants
  T1  Only the hash of a token is stored; the token is returned by `create`, and is in no log (dlmsite.logs).
  T2  A token that is unknown, expired or revoked opens nothing, and the answer does not say which of them it is.
  T3  At most TOKENS_MAX that were not revoked; what ended longer than KEPT ago is forgotten.
Elsewhere: where one is shown (dlmsite.door), the command (manage.py token), the roles (roles).
"""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from dlmsite.access.links import TOKEN_BYTES, TOKEN_LENGTH_MAX, hash_token
from dlmsite.access.models import NAME_LENGTH, ApiToken
from dlmsite.access.roles import Role

PREFIX: Final = "lkr_"
"""Tells people and secret scanners what they have found."""
DAYS_DEFAULT: Final = 30
DAYS_MAX: Final = 366
TOKENS_MAX: Final = 500
KEPT: Final = timedelta(days=90)
USED_EVERY: Final = timedelta(minutes=1)
"""A write per request would make readers wait for the recorder."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Scope(StrEnum):
    """What a token is for."""

    READ = "read"
    OPERATE = "operate"


ROLES: Final = {Scope.READ: Role.VIEWER, Scope.OPERATE: Role.OPERATOR}


class TokenProblem(ValueError):  # noqa: N818 - reads as what is wrong
    """The token cannot be made or revoked. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class TokenUser:
    """Who asks with a token; stands where a request has its user.

    Its name has a space, which no user's has, so that a history never mixes them up.
    """

    name: str
    role: Role
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False
    is_staff: bool = False
    is_superuser: bool = False
    pk: None = None

    def get_username(self) -> str:
        """Return what is recorded of who asked."""
        return f"token {self.name}"


def create(name: str, scope: Scope, days: int = DAYS_DEFAULT) -> str:
    """Make a token and return it: nobody can show it again.

    Raises:
        TokenProblem: the name, the days, or there are too many.
    """
    if not _NAME.fullmatch(name) or len(name) > NAME_LENGTH:
        right = f"use letters, digits, '.', '_', '-', at most {NAME_LENGTH}"
        raise TokenProblem(f"{name[:NAME_LENGTH]!r} cannot be a token's name: {right}.")
    if not 1 <= days <= DAYS_MAX:
        raise TokenProblem(f"A token is valid for 1 to {DAYS_MAX} days, not {days}. Make another when it ends.")
    now = timezone.now()
    _forget(now)
    if ApiToken.objects.filter(revoked_at=None).count() >= TOKENS_MAX:
        raise TokenProblem(f"There are {TOKENS_MAX} tokens, which is the most. Revoke one first.")
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    try:
        with transaction.atomic():
            ApiToken.objects.create(
                name=name,
                token_hash=hash_token(token),
                scope=scope.value,
                created_at=now,
                expires_at=now + timedelta(days=days),
            )
    except IntegrityError:
        raise TokenProblem(f"There is a token {name!r} already. Revoke it first, or choose another name.") from None
    return token


def revoke(name: str) -> None:
    """End a token at once.

    Raises:
        TokenProblem: there is none of that name.
    """
    if not ApiToken.objects.filter(name=name, revoked_at=None).update(revoked_at=timezone.now()):
        raise TokenProblem(f"There is no token {name[:NAME_LENGTH]!r} that could be revoked. `token list` shows them.")


def user_of(token: str) -> TokenUser | None:
    """Return who shows this token; None if it opens nothing (T2). Notes that it was used."""
    if not token.startswith(PREFIX) or len(token) > TOKEN_LENGTH_MAX:
        return None
    now = timezone.now()
    row = ApiToken.objects.filter(token_hash=hash_token(token), revoked_at=None, expires_at__gt=now).first()
    if row is None or row.scope not in set(Scope):
        return None
    _note_use(row, now)
    return TokenUser(row.name, ROLES[Scope(row.scope)])


def state_of(row: ApiToken) -> str:
    """Return valid, expired or revoked."""
    if row.revoked_at is not None:
        return "revoked"
    return "valid" if row.expires_at > timezone.now() else "expired"


def _note_use(row: ApiToken, now: datetime) -> None:
    if row.used_at is not None and now - row.used_at < USED_EVERY:
        return
    try:
        ApiToken.objects.filter(pk=row.pk).update(used_at=now)
    except DatabaseError:
        return  # a full disk is no reason to refuse somebody who reads


def _forget(now: datetime) -> None:
    ApiToken.objects.filter(Q(revoked_at__lt=now - KEPT) | Q(expires_at__lt=now - KEPT)).delete()
