"""Login links, as hashes: who can read the database cannot log in with what is in it.

Invariants
  A1  The token itself is nowhere stored.
  A2  A user has at most one link that was not used, so the table is bounded by the number of users.
Elsewhere: making and consuming links (dlmsite.access.links).
"""

from typing import ClassVar

from django.conf import settings
from django.db import models

HASH_LENGTH = 64  # SHA-256 in hexadecimal


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
