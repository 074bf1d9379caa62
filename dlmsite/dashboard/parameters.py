"""What may follow the `?` of an address: said once, for the reader of the API's document and for the check.

A parameter reads itself out of a request, or refuses with what would be right; its `schema` goes into the document.

Invariants
  P1  A name that the view does not know, or a name that comes twice, is refused: what is ignored silently is taken for
      a filter that matched.
Elsewhere: the document (openapi), who applies P1 (gate), the schemas of answers (shapes).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from django.http import HttpRequest

from dlmsite.dashboard.problems import invalid
from lockcore.core.limits import KEY_BYTES_MAX

DIGITS_MAX: Final = 19
"""2^63 has as many."""
SHOWN_CHARS: Final = 40
"""Of what somebody sent: enough to know it again."""


class Parameter(Protocol):
    """What gate and document need of one."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as it stands in the address
    @property
    def says(self) -> str: ...  # noqa: D102 - what it is for
    @property
    def required(self) -> bool: ...  # noqa: D102
    @property
    def schema(self) -> dict[str, Any]: ...  # noqa: D102 - JSON Schema


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `least` to `most`. 64-bit ones are decimal text in the document, as in answers."""

    name: str
    says: str
    least: int = 1
    most: int = 2**63 - 1
    default: int | None = None
    required: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        schema: dict[str, Any] = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return schema if self.default is None else {**schema, "default": self.default}

    def read(self, request: HttpRequest) -> int | None:
        """Return its value, else the default, else None.

        Raises:
            Refusal: it is no such number, or is missing and required.
        """
        text = request.GET.get(self.name, "")
        if not text:
            return _missing(self) if self.required else self.default
        fits = text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and self.least <= int(text) <= self.most
        if not fits:
            raise invalid(f"{self.name} must be a whole number from {self.least:,} to {self.most:,}.")
        return int(text)

    def need(self, request: HttpRequest) -> int:
        """Return its value or the default.

        Raises:
            Refusal: it is no such number, or there is none.
        """
        value = self.read(request)
        return _missing(self) if value is None else value


@dataclass(frozen=True, slots=True)
class Text:
    """Any text of at most `chars_max` characters; none is the empty text."""

    name: str
    says: str
    chars_max: int = 256
    required: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": "string", "maxLength": self.chars_max}

    def read(self, request: HttpRequest) -> str:
        """Return its value.

        Raises:
            Refusal: it is too long, or missing and required.
        """
        text = request.GET.get(self.name, "")
        if not text and self.required:
            _missing(self)
        if len(text) > self.chars_max:
            raise invalid(f"{self.name} has at most {self.chars_max:,} characters; this one has {len(text):,}.")
        return text


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words; none is the empty text."""

    name: str
    says: str
    values: tuple[str, ...]
    required: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": "string", "enum": list(self.values)}

    def read(self, request: HttpRequest) -> str:
        """Return its value.

        Raises:
            Refusal: it is none of them, or missing and required.
        """
        text = request.GET.get(self.name, "")
        if not text and self.required:
            _missing(self)
        if text and text not in self.values:
            text = text[:SHOWN_CHARS]
            raise invalid(f"There is no {self.name} {text!r}: choose one of {', '.join(self.values)}.")
        return text


@dataclass(frozen=True, slots=True)
class KeyName:
    """The name of a lock."""

    name: str = "key"
    says: str = "Name of the lock: UTF-8 text of at most 4,096 bytes."
    required: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return {"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX}

    def read(self, request: HttpRequest) -> str:
        """Return it; the empty text for none.

        Raises:
            Refusal: it is too long, no UTF-8, or missing and required.
        """
        key = request.GET.get(self.name, "")
        if not key and self.required:
            raise invalid(f"Say which key: ?{self.name}=NAME.")
        try:
            size = len(key.encode())
        except UnicodeEncodeError:
            raise invalid("A key is UTF-8 text.") from None
        if size > KEY_BYTES_MAX:
            raise invalid(f"A key has at most {KEY_BYTES_MAX:,} bytes; this one has {size:,}.")
        return key


def check_names(request: HttpRequest, parameters: Iterable[Parameter]) -> None:
    """Refuse names that are not among the parameters, or come twice (P1)."""
    known = [parameter.name for parameter in parameters]
    for name, values in request.GET.lists():
        if name not in known:
            rest = f"It takes {', '.join(known)}." if known else "It takes none."
            raise invalid(f"There is no parameter {name[:SHOWN_CHARS]!r} here. {rest}")
        if len(values) > 1:
            raise invalid(f"{name} is there {len(values)} times. Say it once.")


def _missing(parameter: Parameter) -> Any:
    raise invalid(f"Say {parameter.name}: {parameter.says}")
