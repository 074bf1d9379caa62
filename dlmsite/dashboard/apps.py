"""Django's entry for the dashboard."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """Names the app; its tables begin with `dashboard_`."""

    name = "dlmsite.dashboard"
    label = "dashboard"
