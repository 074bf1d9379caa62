"""Django's entry for access; makes sure after every migration that the roles exist."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccessConfig(AppConfig):
    """Names the app; its tables begin with `access_`."""

    name = "dlmsite.access"
    label = "access"

    def ready(self) -> None:
        """Hook up the roles."""
        post_migrate.connect(_make_roles, sender=self)


def _make_roles(**_signal: Any) -> None:
    from dlmsite.access.roles import ensure_roles  # noqa: PLC0415 - models exist only now

    ensure_roles()
