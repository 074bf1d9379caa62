"""Django's entry for the operations."""

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    """Names the app; its tables begin with `operations_`."""

    name = "dlmsite.operations"
    label = "operations"
