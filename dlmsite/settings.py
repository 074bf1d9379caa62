"""Django's settings: everything follows from the LOCKRING_* environment, and the defaults are the safe ones.

Invariants
  S1  Reading the settings touches no file: the secret key and the data folder are made at first need.
  S2  Nothing is loaded from another origin, nothing is framed, nothing inline runs without the response's nonce.
  S3  A visitor who has not logged in gets the login page, the pages' own files and words, whether the site is alive and
      ready, and nothing else.
Elsewhere: what the variables may be (dlmsite.environment), D3's modules (dlmsite.vendor), who may act
(dlmsite.access.roles), the languages (dlmsite.languages).
"""

import os
import warnings
from pathlib import Path
from typing import Any

import dj_database_url
import django.contrib.admin
from csp.constants import NONCE, NONE, SELF
from django.utils.functional import SimpleLazyObject

from dlmsite.environment import load_or_make_secret, read_environment
from dlmsite.languages import available
from dlmsite.vendor import static_folders

BASE_DIR = Path(__file__).resolve().parent.parent
ENVIRONMENT = read_environment(os.environ)
DATA_DIR = ENVIRONMENT.data_dir

# Made when a session or a CSRF token is first signed, so that `manage.py help` or mypy leave no file behind.
SECRET_KEY: Any = SimpleLazyObject(lambda: load_or_make_secret(DATA_DIR))
DEBUG = ENVIRONMENT.debug
ALLOWED_HOSTS = ENVIRONMENT.allowed_hosts

INSTALLED_APPS = [
    "daphne",
    "channels",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "dlmsite.access",
    "dlmsite.journal",
    "dlmsite.observing",
    "dlmsite.operations",
    "dlmsite.dashboard",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "dlmsite.statics.Statics",
    "dlmsite.dashboard.measured.Measured",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dlmsite.access.door.ApiDoor",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "dlmsite.urls"
ASGI_APPLICATION = "dlmsite.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,  # the admin's; ours are found first
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "dlmsite.vendor.import_map",
            ],
        },
    },
]

# --- the database -------------------------------------------------------------------------------------------------

# WAL: readers never wait for the recorder. NORMAL: a power cut may lose the last rows (they are still in the nodes'
# spools), a crash of a process loses none. IMMEDIATE: a transaction that will write takes its place in the queue at
# once, where the timeout applies, instead of failing with "database is locked" half way.
SQLITE_OPTIONS = {
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}


# No query here is worth compiling: it takes longer than they do, and is planned where a busy key makes one look costly.
POSTGRESQL_OPTIONS = {"options": "-c jit=off"}


def _database() -> dict[str, Any]:
    # Connections end with the request: under ASGI, Django recommends no persistent ones.
    parsed: dict[str, Any]
    if ENVIRONMENT.database_url:
        parsed = dict(dj_database_url.parse(ENVIRONMENT.database_url, conn_max_age=0))
    else:
        parsed = {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "journal.sqlite3"}
    if parsed["ENGINE"] == "django.db.backends.sqlite3":
        parsed["OPTIONS"] = {**SQLITE_OPTIONS, **parsed.get("OPTIONS", {})}
        # Tests use a file as well: in memory, threads share one connection's locks and WAL does not exist.
        parsed["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}
    elif parsed["ENGINE"] == "django.db.backends.postgresql":
        parsed["OPTIONS"] = {**POSTGRESQL_OPTIONS, **parsed.get("OPTIONS", {})}
    return parsed


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- the channel layer: carries hints, never truth ------------------------------------------------------------------

CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": (
        {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [ENVIRONMENT.redis_url]}}
        if ENVIRONMENT.redis_url
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    ),
}

# --- static files: our modules and D3's, as they are, without a build step ------------------------------------------

STATIC_URL = "/static/"
ADMIN_FILES = Path(django.contrib.admin.__file__).parent / "static/admin"
STATICFILES_DIRS: list[Any] = [
    BASE_DIR / "static",
    ("admin", ADMIN_FILES),
    *static_folders(BASE_DIR / "node_modules"),
]
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
# Names carry no hash, so browsers ask each time and get a 304: an upgrade is never half old.
WHITENOISE_MAX_AGE = 0
WHITENOISE_ALLOW_ALL_ORIGINS = False
# WhiteNoise is synchronous; ASGI reads its files in a thread, which is what we want and need not be told.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

# --- who may come in ------------------------------------------------------------------------------------------------

LOGIN_URL = "access:login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "access:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# Browsers do not tell ports apart when they send cookies: two clusters on one machine need two names.
SESSION_COOKIE_NAME = f"lockring_{ENVIRONMENT.port}_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"  # Strict would show a login page to whoever follows a link from a wiki
CSRF_COOKIE_NAME = f"lockring_{ENVIRONMENT.port}_csrf"
CSRF_COOKIE_HTTPONLY = True  # the page reads the token from <meta name="csrf-token">
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_FAILURE_VIEW = "dlmsite.access.views.csrf_failure"

# --- what a browser may do with our pages -----------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# No request of ours is large; a larger one is refused before it is read.
DATA_UPLOAD_MAX_MEMORY_SIZE = 65_536
DATA_UPLOAD_MAX_NUMBER_FIELDS = 50

# --- language, time, logs -------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
USE_I18N = True
LOCALE_PATHS = [folder for folder in (ENVIRONMENT.locale_dir, BASE_DIR / "locale") if folder]
LANGUAGES = available(LOCALE_PATHS)
USE_TZ = True
TIME_ZONE = "UTC"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "dlmsite.logs.RedactingFormatter",
            "format": "{asctime} {levelname:<7} {name}: {message}",
            "style": "{",
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # Django's own handlers go (they would mail admins, and print twice): all goes up to the one above.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # A line per 4xx is noise: what matters about refusals is recorded as OperatorAction rows.
        "django.request": {"handlers": [], "level": "ERROR", "propagate": True},
        # A traceback per request with a foreign Host header, or with too large a body, would let anybody fill the log.
        "django.security": {"handlers": [], "level": "CRITICAL", "propagate": False},
        "django.security.csrf": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "django.channels.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "daphne": {"handlers": [], "level": "WARNING", "propagate": True},
    },
}
