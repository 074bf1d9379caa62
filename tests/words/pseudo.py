"""A language that is English in brackets, so that what is not translated can be seen.

Elsewhere: who looks (tests/dlmsite/project/test_languages.py), the words (tests.words.collect).
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from tests.words.collect import collect

if TYPE_CHECKING:
    from pathlib import Path

CODE: Final = "eo"
"""A language that Django knows and that browsers can ask for."""
OPEN, CLOSE = "⟦", "⟧"


def write_language(folder: Path) -> None:
    """Write catalogues in which every text has brackets around it."""
    place = folder / CODE / "LC_MESSAGES"
    place.mkdir(parents=True)
    for domain, text in collect().items():
        bracketed = Catalog(locale=CODE)
        for message in read_po(BytesIO(text)):
            if message.id:
                texts = message.id if isinstance(message.id, tuple) else (message.id,)
                shown = tuple(f"{OPEN}{one}{CLOSE}" for one in texts)
                bracketed.add(message.id, shown if len(shown) > 1 else shown[0])
        with (place / f"{domain}.mo").open("wb") as out:
            write_mo(out, bracketed)
