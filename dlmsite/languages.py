"""The languages of the pages: English, as it is written, and each that has a catalogue.

A language is a folder `CODE/LC_MESSAGES` with `django.mo` (templates, Python) and `djangojs.mo` (the pages' modules),
in `locale/` or in the folder that LOCKRING_LOCALE names. Nothing else is needed: a browser that asks for it gets it.

Invariants
  L1  A page without a catalogue for a text shows the English one.
  L2  The catalogue is words only, and is served to anybody: the login page is made of it as well.
Elsewhere: collecting the words (tests/words/collect.py), asking for one in a module (static/js/text.js), why so
(docs/decisions/0020-words-are-collected.md).
"""

from collections.abc import Iterable
from pathlib import Path

from django.conf.locale import LANG_INFO
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import to_language
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from django.views.i18n import JavaScriptCatalog

ENGLISH = ("en", "English")


def available(folders: Iterable[Path]) -> list[tuple[str, str]]:
    """Return (code, name) of the languages that have a catalogue in one of the folders, English first."""
    files = (path for folder in folders for path in folder.glob("*/LC_MESSAGES/django.mo"))
    codes = {to_language(path.parent.parent.name) for path in files} - {ENGLISH[0]}
    return [ENGLISH, *((code, LANG_INFO.get(code, {}).get("name_local", code)) for code in sorted(codes))]


@login_not_required
@require_safe
@cache_control(max_age=0, private=True)
def words(request: HttpRequest) -> HttpResponseBase:
    """Serve the catalogue of the modules in the reader's language, as the script that static/js/text.js expects."""
    return JavaScriptCatalog.as_view(domain="djangojs", packages=["dlmsite.dashboard"])(request)
