"""`manage.py up`: the whole cluster and its page, until Ctrl-C.

    check folder and ports -> migrate -> print a login link -> Daphne's loop: cluster and page -> end everything

Elsewhere: the parts (dlmsite.operations.cluster), the page (dlmsite.asgi).
"""

import asyncio
import logging
import os
import signal
import socket
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dlmsite import claimfile
from dlmsite.access.links import issue_link
from dlmsite.access.roles import Role, ensure_roles
from dlmsite.closing import Door, end_anyway
from dlmsite.environment import make_data_folder
from dlmsite.observing import book
from dlmsite.observing.naming import FORM, NamingProblem, Wanted, read_observe
from dlmsite.operations.cluster import Cluster, ClusterSettings
from dlmsite.operations.seats import NODES_MAX, Plan
from dlmsite.operations.supervisor import OperationProblem, check_port
from dlmsite.pacing import Pace, send_paced
from lockcore.service.problems import ServiceProblem

log = logging.getLogger(__name__)

FIRST_OPERATOR = "operator"
OBSERVE = "--observe"
MESSAGE_BYTES_MAX = 2 * 1024 * 1024
"""Of one WebSocket message in either direction: Daphne has one knob. Ours are bounded by dlmsite.dashboard.stream."""
EXIT_FAILED = 1
REQUESTS_S = 3.0
"""For requests that are under way when all else has ended."""
THREADS_S = 5.0
WHAT_TO_DO = "Free some space, mend its permissions, or choose another with --data FOLDER."


class Command(BaseCommand):
    """Start everything, serve, end everything."""

    help = "Start a lock cluster and its page; Ctrl-C ends both."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How many nodes, where."""
        parser.add_argument("--nodes", type=int, default=3, help="lock nodes to run (default: 3)")
        # These two are read by manage.py before the settings are; here for --help.
        parser.add_argument("--port", type=int, default=None, help="port of the page (default: 8000)")
        parser.add_argument("--data", metavar="FOLDER", help="data folder (default: .lockring)")
        parser.add_argument("--host", default=None, help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--no-workload", action="store_true", help="run no clients that take and release locks")
        parser.add_argument(
            "--observe",
            action="append",
            default=[],
            metavar=FORM,
            help="watch a SeaweedFS cluster by its masters, as 10.0.0.5:9333; may be said several times",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Check, prepare, serve."""
        if not 1 <= options["nodes"] <= NODES_MAX:
            raise CommandError(f"--nodes must be from 1 to {NODES_MAX}, not {options['nodes']}")
        observed = _read_observed(options["observe"])
        environment = settings.ENVIRONMENT
        host = options["host"] or environment.host
        data = Path(settings.DATA_DIR)
        make_data_folder(data)
        claim = claimfile.Claim(os.getpid(), host, environment.port)
        try:
            descriptor = claimfile.take(data, claim)
        except claimfile.FolderInUse as other:
            raise CommandError(in_use_text(data, other.claim)) from None
        except OSError as error:
            raise CommandError(f"the data folder {data} cannot be used: {error.strerror}. {WHAT_TO_DO}") from None
        try:
            plan = Plan(host, environment.port)
            page = self._listen(host, environment.port)
            asked = ClusterSettings(data, plan, options["nodes"], workload=not options["no_workload"])
            self._serve(asked, page, self._prepare(plan, observed))
        finally:
            os.close(descriptor)

    def _listen(self, host: str, port: int) -> socket.socket:
        """Take the page's port before anything is started."""
        try:
            check_port(host, port)
            page = socket.create_server((host.strip("[]"), port), family=_family(host), backlog=128)
        except (OperationProblem, OSError) as error:
            raise CommandError(f"{error}. Choose another with --port.") from None
        page.setblocking(False)
        return page

    def _prepare(self, plan: Plan, observed: list[Wanted]) -> str:
        """Bring the database up to date; return the address of a login link."""
        try:
            call_command("migrate", verbosity=0, interactive=False)
            ensure_roles()
            for wanted in observed:
                book.attach(wanted, OBSERVE, replace=True)
            path = issue_link(FIRST_OPERATOR, Role.OPERATOR, ttl=None)
        except book.AttachProblem as problem:
            raise CommandError(f"{OBSERVE}: {problem}") from None
        except DatabaseError as error:
            raise CommandError(f"the database cannot be used: {error}. Is the disk full?") from error
        return f"http://{plan.host}:{plan.port}{path}"

    def _serve(self, asked: ClusterSettings, page: socket.socket, link: str) -> None:
        # Daphne installs its reactor when it is imported, so nothing of Twisted may be imported earlier.
        from daphne.server import Server  # noqa: PLC0415
        from twisted.internet import reactor  # noqa: PLC0415

        from dlmsite.asgi import application  # noqa: PLC0415

        class PacedServer(Server):  # type: ignore[misc]  # daphne ships no types
            """Daphne, but long answers wait for their reader."""

            paces: ClassVar[dict[Any, Pace]] = {}

            async def handle_reply(self, protocol: Any, message: Any) -> None:
                await send_paced(super().handle_reply, protocol, message, self.paces)

        door = Door(application)
        run = _Run(self, asked, link, reactor, door)
        server = PacedServer(
            door,
            endpoints=[f"fd:fileno={page.detach()}"],  # Twisted copies the descriptor and closes it
            signal_handlers=False,
            verbosity=0,
            websocket_max_message_size=MESSAGE_BYTES_MAX,
            websocket_max_frame_size=MESSAGE_BYTES_MAX,
            application_close_timeout=2,
            server_name="lockring",
        )
        run.begin_soon(server)
        server.run()
        if run.failure:
            raise CommandError(run.failure, returncode=EXIT_FAILED)

    def say(self, text: str) -> None:
        """Tell the person at the terminal, who may have closed it."""
        with suppress(OSError):
            self.stdout.write(text)
            self.stdout.flush()


class _Run:
    """One life of the site inside the reactor."""

    def __init__(self, command: Command, asked: ClusterSettings, link: str, reactor: Any, door: Door) -> None:
        self._command = command
        self._door = door
        self._asked = asked
        self._link = link
        self._reactor = reactor
        self._task: asyncio.Task[None] | None = None
        self._cluster: Cluster | None = None
        self._end = asyncio.Event()
        self.failure = ""

    def begin_soon(self, server: Any) -> None:
        # callWhenRunning would call before the loop runs.
        self._reactor.callLater(0, self._begin, server)

    def _begin(self, server: Any) -> None:
        # A frame that is none is answered by a close frame with a code, not just by the end of the connection.
        server.ws_factory.setProtocolOptions(failByDrop=False)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A closed terminal is an end like Ctrl-C, unless nohup says otherwise.
            if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGINT:
                loop.add_signal_handler(number, self._on_signal)
        self._task = loop.create_task(self._live())

    def _on_signal(self) -> None:
        if self._end.is_set():
            self._command.say("Told twice: everything is killed.")
            if self._cluster is not None:
                self._cluster.kill_all()
            return
        self._end.set()
        self._command.say("\nStopping: the nodes end as well. Ctrl-C again kills them.")

    async def _live(self) -> None:
        try:
            self._cluster = cluster = Cluster(self._asked)
            problems = await cluster.start()
            self._greet(problems)
            await self._end.wait()
        except (ServiceProblem, OperationProblem) as problem:
            self.failure = str(problem)
        except Exception as error:
            log.exception("the site has failed")
            self.failure = f"unexpected: {type(error).__name__}: {error}"
        finally:
            await self._close()

    async def _close(self) -> None:
        """End the cluster, then the site, and not only if all goes well."""
        try:
            if self._cluster is not None:
                await self._cluster.stop()
        except Exception as error:
            log.exception("the cluster did not end as it should")
            self.failure = self.failure or f"the cluster did not end as it should: {type(error).__name__}: {error}"
        finally:
            await self._door.close(REQUESTS_S)
            # From here on whatever waits, the reactor for a request or Python for a thread, waits only so long.
            end_anyway(THREADS_S, EXIT_FAILED if self.failure else 0)
            self._reactor.stop()

    def _greet(self, problems: list[str]) -> None:
        for problem in problems:
            self._command.stderr.write(problem)
        plan = self._asked.plan
        self._command.say(
            f"Lockring runs at http://{plan.host}:{plan.port}/ with {self._asked.nodes} nodes; master at "
            f"{plan.master_target}; data in {self._asked.data}.\n"
            f"Log in as {FIRST_OPERATOR}, once, with\n\n    {self._link}\n\n"
            "Ctrl-C ends the cluster and the page."
        )


def in_use_text(data: Path, claim: claimfile.Claim | None) -> str:
    """Say who has the folder, and what to do."""
    who = f" at http://{claim.host}:{claim.port}/ (pid {claim.pid})" if claim else ""
    return f"Lockring runs in {data} already{who}. Stop it first, or choose another --data folder and --port."


def _read_observed(texts: list[str]) -> list[Wanted]:
    """Return what is to be watched."""
    try:
        return [read_observe(text) for text in texts]
    except NamingProblem as problem:
        raise CommandError(f"{OBSERVE}: {problem}") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
