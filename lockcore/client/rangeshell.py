"""A small shell for the byte ranges of one key: what `manage.py ranges KEY` does.

Ranges live as long as their session, so the session is that of the shell:
its end releases everything. One line, one request; Ctrl-C gives up the one
that is under way, or, where none is, the shell.

Invariants
  E1  Every failure is one line, and leaves the session as it was.
  E2  When the session is lost the shell says so and ends: nothing is held.
Elsewhere: the words (rangewords), the requests (ranges), the command line
(dlmsite.operations, ranges command).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lockcore.client import rangewords
from lockcore.client.rangewords import Words, tell_key, tell_moved, tell_piece
from lockcore.client.run import EXIT_LOST, EXIT_NOT_OBTAINED, EXIT_UNAVAILABLE, EXIT_USAGE
from lockcore.errors import ClusterUnavailable, InvalidRequest, LockError, SessionLost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lockcore.client.client import LockClient
    from lockcore.client.session import Session

ONE_SHOT: Final = frozenset({"getlk", "show", "hold"})
ONE_SHOT_TEXT: Final = (
    "by itself it would be released at once: a range is held as long as its session. Write `hold`, "
    "or leave it out and type it into the shell"
)


@dataclass(frozen=True, slots=True)
class ShellPlan:
    """What to do. `words` empty: read lines. Times in seconds."""

    key: str
    target: str
    words: tuple[str, ...] = ()
    label: str = "shell"
    ttl: float = 10.0
    timeout: float = 10.0


class _Quit(Exception):  # noqa: N818 - no error: the end of the shell
    """Nothing more is wanted."""


class RangeShell:
    """One key, one session at a time.

    Args:
        client: open; stays open.
        plan: key, label, ttl.
        say: prints a line.
    """

    def __init__(self, client: LockClient, plan: ShellPlan, say: Callable[[str], None]) -> None:
        self._client = client
        self._plan = plan
        self._say = say
        self._session: Session | None = None
        self.failed = False

    @property
    def session(self) -> Session:
        """The session that holds."""
        if self._session is None:
            raise AssertionError
        return self._session

    async def open(self) -> None:
        """Open the first session."""
        self._session = await self._new_session()

    async def close(self) -> None:
        """Let go of everything."""
        if self._session is not None:
            await self._session.close()

    async def take(self, line: str) -> None:
        """Carry a line out.

        Raises:
            SessionLost: everything was released (E2).
            _Quit: the line says so.
        """
        try:
            words = rangewords.read_line(line)
            if words is not None and words.name == "hold":
                raise InvalidRequest("here setlkw holds until you let go")
            if words is not None:
                await self.do(words)
        except SessionLost:
            raise
        except LockError as error:
            self.failed = True
            self._say(str(error))

    async def do(self, words: Words) -> None:
        """Carry out what was asked; raises what the request raises."""
        actions: dict[str, Callable[[Words], Awaitable[None]]] = {
            "setlk": self._set,
            "setlkw": self._set,
            "hold": self._set,
            "getlk": self._get,
            "unlck": self._clear,
            "show": self._show,
            "switch": self._switch,
            "session": self._tell_session,
            "help": self._help,
            "quit": self._quit,
        }
        await actions[words.name](words)

    # --- the words -----------------------------------------------------------------------------

    async def _set(self, words: Words) -> None:
        ranges = self.session.ranges(self._plan.key)
        if words.name == "setlk":
            piece = await ranges.setlk(words.kind, words.start, words.length, owner=words.owner)
        else:
            piece = await ranges.setlkw(
                words.kind, words.start, words.length, owner=words.owner, wait=words.wait, fair=words.fair
            )
        self._say(f"held   {tell_piece(piece)}")

    async def _get(self, words: Words) -> None:
        ranges = self.session.ranges(self._plan.key)
        piece = await ranges.getlk(words.kind, words.start, words.length, owner=words.owner)
        self._say("free: nothing is in the way" if piece is None else f"in the way: {tell_piece(piece)}")
        self.failed = self.failed or (piece is not None and bool(self._plan.words))

    async def _clear(self, words: Words) -> None:
        await self.session.ranges(self._plan.key).unlck(words.start, words.length, owner=words.owner)
        self._say("not held any more")

    async def _show(self, words: Words) -> None:
        del words
        from lockcore.client.looking import look  # noqa: PLC0415 - gRPC reads its environment when imported

        for line in tell_key(await look(self._client, self._plan.key)):
            self._say(line)

    async def _switch(self, words: Words) -> None:
        """The graph switch of the Gluster RFC: another transport, the same locks, nobody in between."""
        del words
        old, new = self.session, await self._new_session()
        try:
            moved = await new.ranges(self._plan.key).migrate(old.proof)
        except BaseException:
            await new.close()
            raise
        self._session = new
        await old.close()
        self._say(f"session {old.id} -> {new.id}")
        for line in tell_moved(moved):
            self._say(line)

    async def _tell_session(self, words: Words) -> None:
        del words
        self._say(f"session {self.session.id}, {self.session.label!r}, {self.session.state.value}")

    async def _help(self, words: Words) -> None:
        del words
        self._say(rangewords.USAGE)

    async def _quit(self, words: Words) -> None:
        del words
        raise _Quit

    async def _new_session(self) -> Session:
        return await self._client.session(self._plan.label, ttl=self._plan.ttl).open()


# --- as a program -----------------------------------------------------------------------------------


def run_shell(plan: ShellPlan) -> int:
    """Run it against a cluster; return the exit code: 0, 1 where something was refused, or one of EXIT_*."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # refused connections are our lines, not gRPC's
    try:
        return asyncio.run(_Program(plan).run())
    except InvalidRequest as error:
        return _fail(error, EXIT_USAGE)
    except ClusterUnavailable as error:
        return _fail(error, EXIT_UNAVAILABLE)
    except SessionLost as error:
        return _fail(error, EXIT_LOST)
    except LockError as error:
        return _fail(error, EXIT_NOT_OBTAINED)
    except KeyboardInterrupt:
        return 0


def _fail(error: LockError, code: int) -> int:
    sys.stderr.write(f"lockring: {error}\n")
    return code


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class _Program:
    """The shell between a terminal and a cluster."""

    def __init__(self, plan: ShellPlan) -> None:
        self._plan = plan
        self._words = rangewords.read_words(plan.words) if plan.words else None
        if self._words is not None and self._words.name not in ONE_SHOT:
            raise InvalidRequest(f"{self._words.name}: {ONE_SHOT_TEXT}")
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._wanted = threading.Semaphore(0)
        self._busy: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Read and carry out until the end."""
        from lockcore.client.client import LockClient  # noqa: PLC0415 - gRPC reads its environment when imported

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        async with LockClient(self._plan.target, timeout=self._plan.timeout) as client:
            shell = RangeShell(client, self._plan, _say)
            try:
                await shell.open()
                with contextlib.suppress(_Quit):
                    await (self._once(shell) if self._words is not None else self._read(shell, loop))
            finally:
                await shell.close()
        return int(shell.failed)

    def _interrupt(self) -> None:
        if self._busy is not None and not self._busy.done():
            self._busy.cancel()
        else:
            self._stop.set()
            self._lines.put_nowait(None)

    async def _once(self, shell: RangeShell) -> None:
        if self._words is None:
            raise AssertionError
        self._busy = asyncio.ensure_future(shell.do(self._words))
        try:
            await self._busy
        except asyncio.CancelledError:
            shell.failed = True
            return
        if self._words.name == "hold":
            _say("until Ctrl-C")
            lost = asyncio.ensure_future(_lost(shell.session))
            await asyncio.wait((lost, asyncio.ensure_future(self._stop.wait())), return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise SessionLost("the session was lost, and the range with it")

    async def _read(self, shell: RangeShell, loop: asyncio.AbstractEventLoop) -> None:
        threading.Thread(target=self._type, args=(loop,), daemon=True).start()
        while True:
            self._wanted.release()
            line = await self._lines.get()
            if line is None:
                return
            self._busy = asyncio.ensure_future(shell.take(line))
            try:
                await self._busy
            except asyncio.CancelledError:
                _say("given up")

    def _type(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read lines in a thread, each when the one before was carried out."""
        prompt = "ranges> " if sys.stdin.isatty() else ""
        if prompt:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401, PLC0415 - gives input() its history and its arrow keys
            _say(f"{self._plan.key}: type help for what there is, quit to let go of everything")
        line: str | None = ""
        while line is not None:
            self._wanted.acquire()
            try:
                line = input(prompt)
            except (EOFError, OSError, UnicodeDecodeError):
                line = None
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._lines.put_nowait, line)


async def _lost(session: Session) -> None:
    """Return when a session is lost."""
    while session.is_alive:  # noqa: ASYNC110 - computed from the clock
        await asyncio.sleep(0.1)
