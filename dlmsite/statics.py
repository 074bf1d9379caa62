"""Middleware that serves static files, also those that change while the site runs.

WhiteNoise looks at every file once, when the site starts, and sends the length that it saw. After an upgrade in place,
or an editor's save, that length is wrong: a browser waits for bytes that never come, or gets half a module.

Invariants
  F1  What is sent has the length and the time of the file as it is: each request costs one more stat(2).
  F2  A file that is gone is gone; one that came after the start is found.
Elsewhere: which folders there are (dlmsite.settings, dlmsite.vendor).
"""

import os
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import MissingFileError, StaticFile


class Statics(WhiteNoiseMiddleware):  # type: ignore[misc]  # WhiteNoise has no types
    """WhiteNoise, which looks again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._seen: dict[str, tuple[str, int, int]] = {}
        super().__init__(*args, **kwargs)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve a file of ours; hand on what is none."""
        url = request.path_info
        if not self.autorefresh and url.startswith(self.static_prefix):
            self._look_again(url)
        response: HttpResponseBase = super().__call__(request)
        return response

    def get_static_file(self, path: str, url: str, stat_cache: dict[str, os.stat_result] | None = None) -> StaticFile:
        """Note how the file is, from before it is looked at more closely."""
        stat = stat_cache[path] if stat_cache else None
        try:
            stat = stat or os.stat(path)  # noqa: PTH116 - as WhiteNoise does
        except OSError:
            raise MissingFileError(path) from None
        self._seen[url] = (path, stat.st_mtime_ns, stat.st_size)
        return super().get_static_file(path, url, stat_cache)

    def _look_again(self, url: str) -> None:
        path, *seen = self._seen.get(url, ("",))
        try:
            stat = os.stat(path)  # noqa: PTH116 - nothing of a Path is needed
        except OSError:
            stat = None
        if stat is not None and seen == [stat.st_mtime_ns, stat.st_size]:
            return
        found = self.find_file(url)
        if found is None:
            self._seen.pop(url, None)
            self.files.pop(url, None)
        else:
            self.files[url] = found
