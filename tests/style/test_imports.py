"""Imports run one way, as the rooms of the design are drawn."""

import pytest

from tests.style.arrows import broken_rules, imports_of
from tests.style.sources import name_of, python_modules


def module_name(path_name: str) -> str:
    return path_name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_no_arrow_runs_back() -> None:
    """Once the core knows its users, it can no longer be simulated, reused or understood alone."""
    broken = [
        line
        for path in python_modules("lockcore", "dlmsite")
        for line in broken_rules(module_name(name_of(path)), path.read_text(encoding="utf-8"))
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lockcore.core.ring", "import time"),
        ("lockcore.core.ring", "from random import Random"),
        ("lockcore.core.ring", "def f():\n    import asyncio.subprocess"),
        ("lockcore.core.node", "from lockcore.wire import codec"),
        ("lockcore.core.node", "from lockcore import service"),
        ("lockcore.core.node", "from ..service import server"),
        ("lockcore.wire.codec", "from lockcore.client.aio import connect"),
        ("lockcore.service.node", "import lockcore.client"),
        ("lockcore.client.aio", "from lockcore.service import master"),
        ("lockcore.client.aio", "from lockcore.wire.gen import lockring_pb2"),
        ("lockcore.service.node", "import django.conf"),
        ("lockcore", "from dlmsite import settings"),
        ("dlmsite.journal.recorder", "from lockcore.core import node"),
        ("dlmsite.journal.checking", "from lockcore.testing import simulate"),
        ("dlmsite.journal.models", "from dlmsite.operations.models import OperatorAction"),
        ("dlmsite.operations.supervisor", "from dlmsite.dashboard import views"),
        ("dlmsite.access.views", "from dlmsite.journal import models"),
    ],
)
def test_an_arrow_that_runs_back_is_found(module: str, source: str) -> None:
    """The test above can fail: each line here, put into that module, would make it."""
    assert broken_rules(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lockcore.core.ring", "import zlib\nfrom lockcore.core.view import View"),
        ("lockcore.core.ring", "import timeit_not_time"),
        ("lockcore.wire.codec", "from lockcore.core import messages\nfrom lockcore.wire.gen import lockring_pb2"),
        ("lockcore.service.node", "import asyncio\nfrom lockcore.wire import codec"),
        ("lockcore.testing.simulator", "from lockcore.core.node import NodeCore"),
        ("dlmsite.journal.recorder", "from lockcore.core.events import Event"),
        ("dlmsite.journal.checking", "from lockcore.testing.online import OnlineChecker"),
        ("dlmsite.dashboard.views", "from dlmsite.journal.models import Node\nfrom dlmsite.access import roles"),
    ],
)
def test_an_arrow_that_runs_forward_is_let_through(module: str, source: str) -> None:
    assert not broken_rules(module, source)


def test_relative_imports_are_read_as_what_they_name() -> None:
    assert list(imports_of("a.b.c", "from . import d\nfrom ..e import f")) == [(1, "a.b.d"), (2, "a.e.f")]
