"""`manage.py master`: ring master and recorder without a page, for clusters whose parts run apart.

The page then is any ASGI worker (`daphne dlmsite.asgi:application`) with the same LOCKRING_DATABASE and LOCKRING_REDIS,
and nodes are started with `manage.py node`. Nobody here starts or ends them.

Elsewhere: everything in one process (up).
"""

import asyncio
import os
import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from dlmsite import claimfile
from dlmsite.environment import EnvironmentProblem, adopt_arguments, make_data_folder
from dlmsite.journal.recorder import Recorder
from dlmsite.observing.observer import Observatory
from dlmsite.operations.cluster import JOURNAL_NAME
from dlmsite.operations.management.commands.up import WHAT_TO_DO, in_use_text
from dlmsite.operations.seats import Plan
from dlmsite.operations.watch import Watch
from lockcore.service.master_server import MasterServer
from lockcore.service.problems import ServiceProblem
from lockcore.service.secrets import FILE_NAME, load_or_create_secret


class Command(BaseCommand):
    """Run master and recorder until Ctrl-C."""

    help = "Run the ring master and the recorder without page and nodes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where."""
        parser.add_argument("--port", type=int, default=None, help="the cluster's port; gRPC is 10,000 above (8000)")
        parser.add_argument("--host", default=None, help="address to listen on (default: 127.0.0.1)")
        # Read by manage.py before the settings are; here for --help.
        parser.add_argument("--data", metavar="FOLDER", help="data folder (default: .lockring)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Prepare and serve."""
        data = Path(settings.DATA_DIR)
        make_data_folder(data)
        plan = Plan(options["host"] or settings.ENVIRONMENT.host, _port(options["port"]))
        try:
            descriptor = claimfile.take(data, claimfile.Claim(os.getpid(), plan.host, plan.port))
        except claimfile.FolderInUse as other:
            raise CommandError(in_use_text(data, other.claim)) from None
        except OSError as error:
            raise CommandError(f"the data folder {data} cannot be used: {error.strerror}. {WHAT_TO_DO}") from None
        try:
            call_command("migrate", verbosity=0, interactive=False)
            asyncio.run(self._serve(data, plan))
        except ServiceProblem as problem:
            raise CommandError(str(problem)) from None
        except DatabaseError as error:
            raise CommandError(f"the database cannot be used: {error}. Is the disk full?") from error
        finally:
            os.close(descriptor)

    async def _serve(self, data: Path, plan: Plan) -> None:
        end = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, end.set)
        recorder = Recorder()
        secret = load_or_create_secret(data / FILE_NAME)
        master = MasterServer(target=plan.master_target, journal=data / JOURNAL_NAME, secret=secret, sink=recorder)
        recorder.start()
        try:
            await master.start()
            watching = asyncio.gather(Watch(recorder, master).run(), Observatory(recorder.run).watch())
            self.stdout.write(
                f"The master serves at {plan.master_target}, data in {data}. Ctrl-C ends it; nodes go on."
            )
            self.stdout.flush()
            await end.wait()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        finally:
            await master.stop()
            await recorder.stop()


def _port(port: int | None) -> int:
    if port is None:
        return int(settings.ENVIRONMENT.port)
    environ: dict[str, str] = {}
    try:
        adopt_arguments(["up", "--port", str(port)], environ)
    except EnvironmentProblem as problem:
        raise CommandError(str(problem)) from None
    return port
