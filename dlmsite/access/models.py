"""Login links and API tokens, as hashes: who can read the database cannot come in with what is in it.

Invariants
  A1  Neither a link's token nor an API token is stored anywhere.
  A2  A user has at most one link that was not used, so the table is bounded by the number of users.
  A3  Of API tokens that were not revoked, each name is there once; how many there may be is bounded (tokens).
Elsewhere: making and consuming links (dlmsite.access.links), tokens (dlmsite.access.tokens).
"""

from typing import ClassVar

from django.conf import settings
from django.db import models

HASH_LENGTH = 64  # SHA-256 in hexadecimal
NAME_LENGTH = 64


class LoginLink(models.Model):
    """One invitation to log in as `user`, once."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="login_link")
    token_hash = models.CharField(max_length=HASH_LENGTH, unique=True)
    created_at = models.DateTimeField()
    # Null: valid until it is used. Only the first operator's link is made so, on the terminal that it is printed on.
    expires_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        """Nothing more than a name for people."""

        verbose_name = "login link"
        default_permissions: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        """Name the user, never the hash."""
        return f"login link for {self.user}"


class ApiToken(models.Model):
    """What a program shows instead of a session. It belongs to nobody: whoever may run manage.py made it."""

    name = models.CharField(max_length=NAME_LENGTH)
    token_hash = models.CharField(max_length=HASH_LENGTH, unique=True)
    scope = models.CharField(max_length=16, help_text="read, or operate, which includes read")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, help_text="to the minute; empty: never")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        """What the database sees to."""

        verbose_name = "API token"
        default_permissions: ClassVar[tuple[str, ...]] = ()
        constraints = (
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(revoked_at__isnull=True), name="access_token_name_once"
            ),
        )

    def __str__(self) -> str:
        """Name it, never the hash."""
        return f"API token {self.name}"
