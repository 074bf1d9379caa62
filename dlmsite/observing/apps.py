"""Django's entry for what is only watched."""

from django.apps import AppConfig


class ObservingConfig(AppConfig):
    """Names the app; its tables begin with `observing_`."""

    name = "dlmsite.observing"
    label = "observing"
