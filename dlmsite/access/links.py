"""One-time login links, as Jupyter prints them.

A link is a path with a random token. Opening it only shows a page that asks (mail scanners and link previews open links
too); the POST of that page consumes it.

Invariants
  L1  A link logs in at most once: it is consumed by one UPDATE that names its unused state, so of two at once one wins.
  L2  Only the hash of a token is stored, and the token is in no log (dlmsite.logs).
  L3  A new link for a user makes the former one useless.
Elsewhere: the pages (dlmsite.access.views), the command that prints a link (manage.py invite).
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from dlmsite.access.models import LoginLink
from dlmsite.access.roles import Role, give_role

LINK_TTL: Final = timedelta(minutes=15)
TOKEN_BYTES: Final = 32
TOKEN_LENGTH_MAX: Final = 100  # longer ones are not even hashed


class InvalidUsername(ValueError):  # noqa: N818 - reads as what is wrong
    """The name cannot be a user's name. The text says why."""


def issue_link(username: str, role: Role, ttl: timedelta | None = LINK_TTL) -> str:
    """Make a link that logs `username` in once, and return its path (`/login/<token>/`).

    Args:
        username: made, without a password, if there is nobody of that name. Somebody inactive becomes active again.
        role: the one role that the user has from now on.
        ttl: None means valid until used.
    Raises:
        InvalidUsername: empty, too long, or with characters that Django does not take.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)
    now = timezone.now()
    with transaction.atomic():
        user = _user_named(username)
        give_role(user, role)
        LoginLink.objects.update_or_create(
            user=user,
            defaults={
                "token_hash": hash_token(token),
                "created_at": now,
                "expires_at": None if ttl is None else now + ttl,
                "used_at": None,
            },
        )
    return reverse("access:link", args=[token])


def user_of_link(token: str) -> User | None:
    """Return whom the link would log in; None if it is unknown, used or expired. Changes nothing."""
    link = _usable(token).select_related("user").first()
    return link.user if link else None


def consume_link(token: str) -> User | None:
    """Use the link up and return whom to log in; None if it is unknown, used or expired, or somebody was faster."""
    if not _usable(token).update(used_at=timezone.now()):
        return None
    return LoginLink.objects.select_related("user").get(token_hash=hash_token(token)).user


def hash_token(token: str) -> str:
    """Return what is stored for a token. It has 256 random bits, so a plain hash is enough: nobody can guess along."""
    return hashlib.sha256(token.encode()).hexdigest()


def _usable(token: str) -> QuerySet[LoginLink]:
    if len(token) > TOKEN_LENGTH_MAX:
        return LoginLink.objects.none()
    alive = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    return LoginLink.objects.filter(alive, token_hash=hash_token(token), used_at__isnull=True, user__is_active=True)


def _user_named(username: str) -> User:
    user = User.objects.filter(username=username).first()
    if user is None:
        user = User(username=username)
        user.set_unusable_password()
        try:
            user.full_clean()
        except ValidationError as error:
            raise InvalidUsername(" ".join(error.messages)) from error
        user.save()
    elif not user.is_active:
        user.is_active = True
        user.save(update_fields=["is_active"])
    return user
