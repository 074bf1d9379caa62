"""URLs of the dashboard."""

from django.urls import URLPattern, path

from dlmsite.dashboard import (
    actions,
    api,
    audit,
    auditexport,
    compare,
    health,
    lock,
    metrics,
    moment,
    series,
    timeline,
    views,
)

app_name = "dashboard"
urlpatterns: list[URLPattern] = [
    path("", views.ring, name="ring"),
    path("charts/", views.charts, name="charts"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("audit/", audit.page, name="audit"),
    path("api/audit/", audit.events, name="audit-events"),
    path("api/audit/event/", audit.event, name="audit-event"),
    path("api/audit/actions/", audit.actions, name="audit-actions"),
    path("api/audit/export/", auditexport.export, name="audit-export"),
    path("api/audit/export/progress/", auditexport.progress, name="audit-export-progress"),
    path("api/openapi.json", api.document, name="openapi"),
    path("api/snapshot/", api.snapshot, name="snapshot"),
    path("api/series/", series.series, name="series"),
    path("api/events/", api.events, name="events"),
    path("api/find/", api.find, name="find"),
    path("api/key/", api.key, name="key"),
    path("api/sessions/", api.sessions, name="sessions"),
    path("lock/", lock.page, name="lock"),
    path("api/lock/", lock.life, name="lock-life"),
    path("api/lock/pair/", lock.pair, name="lock-pair"),
    path("api/moment/", moment.moment, name="moment"),
    path("api/timeline/", timeline.timeline, name="timeline"),
    path("api/compare/", compare.compare, name="compare"),
    path("api/nodes/", actions.add_node, name="add"),
    path("api/nodes/<str:label>/<str:what>/", actions.act_on_node, name="act"),
    path("api/rehearsal/", actions.rehearse, name="rehearse"),
    path("api/rehearsal/stop/", actions.stop_rehearsal, name="stop-rehearsal"),
    path("api/locks/release/", actions.release_lock, name="release"),
    path("api/workload/", actions.switch_workload, name="workload"),
]
