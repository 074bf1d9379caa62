"""What somebody writes to have a cluster watched, and what is meant by it: a name, masters, a filer group.

    [NAME=]HOST:PORT[,HOST:PORT…][/GROUP]

Pure. Addresses are SeaweedFS's: `host:port` with the HTTP port, or `host:port.grpcPort`. As people copy them from a
browser, `http://` before them is let through.

Elsewhere: who asks (manage.py up --observe, dlmsite.dashboard.clusteractions), the rows (book).
"""

import re
from dataclasses import dataclass
from typing import Final

from lockcore.wire.addresses import grpc_target

FORM: Final = "[NAME=]HOST:PORT[,HOST:PORT…][/GROUP]"
MASTERS_MAX: Final = 16
GROUP_CHARS_MAX: Final = 128
NAME_CHARS_MAX: Final = 48
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_SHOWN_CHARS: Final = 80
_TLS: Final = "TLS is not spoken here, only plain gRPC: write HOST:PORT without https://"


class NamingProblem(ValueError):  # noqa: N818 - for the reader to change
    """It cannot be meant like this. The text says what could."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A cluster that is to be watched; `masters` as SeaweedFS writes them, at least one. A filer may stand for them."""

    name: str
    masters: tuple[str, ...]
    group: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """Where gRPC listens behind the masters."""
        return tuple(map(grpc_target, self.masters))


def read_observe(text: str) -> Wanted:
    """Return what `--observe TEXT` means.

    Raises:
        NamingProblem: nothing can be watched by that.
    """
    name, equals, rest = text.strip().partition("=")
    if not equals:
        name, rest = "", text.strip()
    if "https://" in rest:
        raise NamingProblem(_TLS)
    masters, _, group = rest.replace("http://", "").partition("/")  # a scheme's slashes are no group's
    return read_parts(name, masters, group)


def read_parts(name: str, masters: str, group: str) -> Wanted:
    """Return what is meant by a name (empty: made from the first address), addresses joined by commas, and a group.

    Raises:
        NamingProblem: nothing can be watched by that.
    """
    addresses = tuple(dict.fromkeys(address for part in masters.split(",") if (address := _address(part))))
    if not addresses:
        raise NamingProblem("say where a master listens: HOST:PORT with its HTTP port, such as 10.0.0.5:9333")
    if len(addresses) > MASTERS_MAX:
        raise NamingProblem(f"at most {MASTERS_MAX} masters can be named, not {len(addresses)}")
    group = group.strip()
    if len(group) > GROUP_CHARS_MAX or not (group.isprintable() and "," not in group):
        raise NamingProblem(f"a filer group has at most {GROUP_CHARS_MAX} printable characters and no comma")
    name = name.strip() or _name_of(addresses[0], group)
    if NAME.fullmatch(name) is None:
        shown = name[:_SHOWN_CHARS]
        text = f"{shown!r} cannot name a cluster: use up to {NAME_CHARS_MAX} letters, digits, dots, - and _"
        raise NamingProblem(f"{text}, beginning with a letter or a digit")
    return Wanted(name, addresses, group)


def _address(text: str) -> str:
    """Return an address without what people copy along; empty where there is none."""
    address = text.strip().removeprefix("http://").rstrip("/")
    shown = address[:_SHOWN_CHARS]
    if address.startswith("https://"):
        raise NamingProblem(_TLS)
    if address.startswith("dnssrv+"):
        raise NamingProblem(f"{shown!r}: DNS SRV records are not looked up here; write each master as HOST:PORT")
    if not address:
        return ""
    try:
        grpc_target(address)
    except ValueError:
        text = "cannot be where a master listens: write HOST:PORT with its HTTP port (gRPC is 10,000 above), or"
        raise NamingProblem(f"{shown!r} {text} HOST:PORT.GRPCPORT") from None
    return address


def _name_of(address: str, group: str) -> str:
    """Return a name made of an address, with the port of HTTP only."""
    host, _, port = address.rpartition(":")
    words = [host, port.partition(".")[0], group]
    return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(filter(None, words))).strip("-._")[:NAME_CHARS_MAX]
