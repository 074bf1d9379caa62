"""Django's entry for the journal."""

from django.apps import AppConfig


class JournalConfig(AppConfig):
    """Names the app; its tables begin with `journal_`."""

    name = "dlmsite.journal"
    label = "journal"
