"""Django's admin at /admin/: users, and every table of the journal and of what operators asked for, to be read.

Nobody gets in by an invitation: it takes a superuser with a password, made by `manage.py createsuperuser` where
Lockring runs, who logs in at /login/ like everybody.

Invariants
  D1  History is read only: nobody adds, changes or removes a row here, a superuser no more than others.
  D2  There is no second way in: the admin's own login is ours, with its bound on tries.
  D3  A list reads at most ROWS_MAX rows, whatever the table has; no column holds a secret, a hash or a blob.
Elsewhere: the pages that answer questions (dlmsite.dashboard), who is invited (dlmsite.access).
"""

from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import BinaryField, Field, JSONField, Model, TextField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property

from dlmsite.access.models import ApiToken

if TYPE_CHECKING:
    ReadOnlyBase = ModelAdmin[Model]
    Pages = Paginator[Model]
    PeopleBase = UserAdmin[User]
else:
    ReadOnlyBase, Pages, PeopleBase = ModelAdmin, Paginator, UserAdmin

ROWS_MAX: Final = 1_000
PER_PAGE: Final = 50
COLUMNS_MAX: Final = 12
HISTORY: Final = ("journal", "operations", "observing")


class Site(AdminSite):
    """The admin, for superusers who are staff."""

    site_header = "Lockring"
    site_title = "Lockring"
    index_title = "Tables"
    site_url = "/"

    def has_permission(self, request: HttpRequest) -> bool:
        """Let superusers in."""
        user = request.user
        return bool(user.is_active and getattr(user, "is_staff", False) and getattr(user, "is_superuser", False))

    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send who is not logged in to our own login (D2), who may come in there, and refuse the rest."""
        del extra_context
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            raise PermissionDenied
        return redirect_to_login(resolve_url("admin:index"), resolve_url(settings.LOGIN_URL))


class FirstRows(Pages):
    """Pages of the first ROWS_MAX rows: counting ten million takes seconds."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are to see."""
        return len(self.object_list[:ROWS_MAX])


class ReadOnly(ReadOnlyBase):
    """A table that is only looked at, newest first."""

    ordering = ("-pk",)
    list_per_page = PER_PAGE
    list_max_show_all = 0
    show_full_result_count = False
    paginator = FirstRows
    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 - Django's
        """Nobody (D1)."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 - Django's
        """Nobody (D1)."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 - Django's
        """Nobody (D1)."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 - Django's
        """Whoever came in."""
        return True


class People(PeopleBase):
    """Users: to be deactivated, or given another role by their group."""


def columns_of(model: type[Model]) -> tuple[str, ...]:
    """Return what a list shows: what is short, and no secret."""
    first, *rest = (field.name for field in model._meta.concrete_fields if _is_short(field))  # noqa: SLF001 - Django's
    return (first, "__str__", *rest[:COLUMNS_MAX])


def _is_short(field: "Field[Any, Any]") -> bool:
    return not isinstance(field, BinaryField | JSONField | TextField) and not field.name.endswith("hash")


def build() -> Site:
    """Return the admin with all its tables."""
    made = Site(name="admin")
    for label in HISTORY:
        for model in apps.get_app_config(label).get_models():
            made.register(model, type(f"{model.__name__}Admin", (ReadOnly,), {"list_display": columns_of(model)}))
    hidden = {"list_display": columns_of(ApiToken), "exclude": ("token_hash",)}
    made.register(ApiToken, type("ApiTokenAdmin", (ReadOnly,), hidden))
    made.register(User, People)
    return made


site: Final = build()
