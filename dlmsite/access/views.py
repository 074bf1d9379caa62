"""The pages that a visitor without a session can see: login, a login link, and why something was refused.

Elsewhere: what a link is (dlmsite.access.links), the bound on tries (throttle), the roles (roles).
"""

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth import login, views
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from dlmsite.access import throttle
from dlmsite.access.links import consume_link, user_of_link
from dlmsite.problems import is_api, problem

# Named, because somebody who comes by link has never met an authentication backend.
_BACKEND = "django.contrib.auth.backends.ModelBackend"


class PasswordLogin(views.LoginView):
    """`/login/`: name and password, for people who have set one (`manage.py changepassword`)."""

    template_name = "access/login.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check the password, unless there were too many tries lately."""
        if not throttle.may_try(request.POST.get("username", ""), _address(request)):
            minutes = throttle.WINDOW_S // 60
            response = _refusal(
                request,
                HTTPStatus.TOO_MANY_REQUESTS,
                gettext("Too many tries"),
                gettext("There were too many tries to log in. Wait %(minutes)d minutes, or use a login link.")
                % {"minutes": minutes},
            )
            response["Retry-After"] = str(throttle.WINDOW_S)
            return response
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Let them in."""
        throttle.forgive(form.cleaned_data["username"], _address(self.request))
        return super().form_valid(form)


@method_decorator([login_not_required, never_cache, csrf_protect], name="dispatch")
class LinkLogin(View):
    """`/login/<token>/`: GET asks, POST uses the link up."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """Say who would be logged in. A preview that opens the link changes nothing."""
        user = user_of_link(token)
        if user is None:
            return _dead_link(request)
        return render(request, "access/confirm.html", {"invited": user.get_username()})

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """Log in, with a new session."""
        user = consume_link(token)
        if user is None:
            return _dead_link(request)
        # Whoever was logged in here before is gone with all of their session; login() then makes a new key.
        request.session.flush()
        login(request, user, backend=_BACKEND)
        return HttpResponseRedirect(resolve_url(settings.LOGIN_REDIRECT_URL))


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Answer a POST without a valid CSRF token; `reason` is Django's, for its log, and not shown."""
    del reason
    if is_api(request):
        text = "Load the page again and repeat: it is old, or not ours. Programs send `Authorization: Bearer TOKEN`."
        return problem(HTTPStatus.FORBIDDEN, "Not from this page", text)
    return _refusal(
        request,
        HTTPStatus.FORBIDDEN,
        gettext("This page is too old"),
        gettext("The form could not be trusted: the page is old, or cookies are off. Load the page again and repeat."),
    )


def _dead_link(request: HttpRequest) -> HttpResponse:
    # One answer for unknown, used and expired: which of them it was is nobody's business but the inviter's.
    return _refusal(
        request,
        HTTPStatus.GONE,
        gettext("This login link no longer works"),
        gettext("It was used, has expired, or was replaced by a newer one. For another, run this where Lockring runs:"),
        command=".venv/bin/python manage.py invite NAME",
    )


def _refusal(request: HttpRequest, status: HTTPStatus, title: str, text: str, command: str = "") -> HttpResponse:
    return render(request, "access/refused.html", {"title": title, "text": text, "command": command}, status=status)


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))
