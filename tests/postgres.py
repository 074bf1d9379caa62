"""A PostgreSQL of its own: in a folder of its own, on a free port of loopback, ended with the block.

Its own user runs it where we are root, for it refuses to be run by root.

Elsewhere: who needs one (tests.acceptance.test_apart, tests.bench.filled).
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Final, Self

DIRS: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
READY: Final = "ready to accept connections"
READY_S: Final = 60.0
END_S: Final = 60.0
LOOK_S: Final = 0.1
_PAUSE: Final = threading.Event()  # never set


class NoServer(Exception):  # noqa: N818 - says what is missing
    """There is no PostgreSQL here, or it does not start."""


def program(name: str) -> str:
    """Return the path of a server program.

    Raises:
        NoServer: it is not installed.
    """
    found = shutil.which(name) or next((str(d / name) for d in reversed(DIRS) if (d / name).exists()), None)
    if found is None:
        raise NoServer(f"needs {name}: apt-get install postgresql redis-server")
    return found


class Postgres:
    """A server, from `start` to `stop`.

    Args:
        port: to listen on.
        folder: where it is to live, and stays; None: a temporary one, removed at the end.
        options: of the server, such as "shared_buffers=1GB".
    """

    def __init__(self, port: int, folder: Path | None = None, options: tuple[str, ...] = ()) -> None:
        self.url = f"postgresql://lockring@127.0.0.1:{port}/postgres"
        self._port, self._options, self._kept = port, options, folder is not None
        # Not below a folder that is for us alone: PostgreSQL is somebody else where we are root.
        self.folder = folder or Path(tempfile.mkdtemp(prefix="lockring-pg-"))
        self._log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            NoServer: it does not.
        """
        initdb, server, as_user = program("initdb"), program("postgres"), self._as_user()
        data = self.folder / "data"
        if not data.exists():
            made = [*as_user, initdb, "-D", str(data), "-U", "lockring", "--auth=trust", "--no-sync"]
            subprocess.run(made, check=True, capture_output=True, cwd="/")
        mine = ("listen_addresses=127.0.0.1", f"port={self._port}", f"unix_socket_directories={self.folder}")
        settings = [part for option in (*mine, *self._options) for part in ("-c", option)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*as_user, server, "-D", str(data), *settings], cwd="/", stdout=log, stderr=log
            )
        self._wait()

    def stop(self) -> None:
        """End it, and remove its folder if that is a temporary one."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # "fast": without waiting for clients
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if not self._kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _as_user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        user = pwd.getpwnam("postgres")
        os.chown(self.folder, user.pw_uid, -1)
        # Not by `user=`: Python forks for that, and gRPC's threads do not outlive a fork.
        return [program("setpriv"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_S
        while READY not in self._log.read_text(errors="replace"):
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace")[-500:]
                self.stop()
                raise NoServer(f"PostgreSQL did not start: {said}")
            _PAUSE.wait(LOOK_S)
