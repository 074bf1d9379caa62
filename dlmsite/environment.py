"""What the environment says about this installation: the data folder, the address, the secret key.

Pure but for `make_data_folder` and `load_or_make_secret`. Knows nothing of Django, so that it can be read before the
settings are.

Invariants
  E1  Every value is checked here; what is wrong raises EnvironmentProblem, whose text says what to do.
  E2  The secret key is made once per data folder, is readable by its owner only, and is never printed.
Elsewhere: what follows from these values (dlmsite.settings).
"""

import os
import secrets
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent

DEFAULT_PORT = 8000
# The master listens at port + 10,000 and node i at port + i + 10,000 (SeaweedFS's habit): 64 nodes must still fit.
GRPC_PORT_OFFSET = 10_000
PORT_MAX = 65_535 - GRPC_PORT_OFFSET - 64

SECRET_FILE_NAME = "secret_key"  # noqa: S105 - a file's name
SECRET_BYTES = 50


class EnvironmentProblem(Exception):  # noqa: N818 - not an error of ours: something for the reader to change
    """The environment cannot be used as it is. The text is for a person and says what to do."""


@dataclass(frozen=True, slots=True)
class SiteEnvironment:
    """Where this installation lives.

    Attributes:
        data_dir: folder of the journal, the spools and the secret key. May not exist yet.
        host: address that the site listens on.
        port: its HTTP port; all other ports follow from it.
        database_url: None means SQLite in the data folder.
        redis_url: None means the channel layer of this process alone.
        extra_hosts: host names under which a proxy serves the site.
        debug: Django's debug pages. Never in use where others can reach the site.
        locale_dir: folder with catalogues of further languages, beside our own.
    """

    data_dir: Path
    host: str
    port: int
    database_url: str | None
    redis_url: str | None
    extra_hosts: tuple[str, ...]
    debug: bool
    locale_dir: Path | None = None

    @property
    def allowed_hosts(self) -> list[str]:
        """Host headers that are answered: the loopback names, our own address, what the proxy is called."""
        return list(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", self.host, *self.extra_hosts]))


def read_environment(environ: MutableMapping[str, str]) -> SiteEnvironment:
    """Read the LOCKRING_* variables.

    Raises:
        EnvironmentProblem: a value that cannot be used.
    """
    folder = environ.get("LOCKRING_DATA")
    return SiteEnvironment(
        data_dir=Path(folder).expanduser().absolute() if folder else PROJECT_DIR / ".lockring",
        host=environ.get("LOCKRING_HOST") or "127.0.0.1",
        port=_port(environ.get("LOCKRING_PORT") or str(DEFAULT_PORT)),
        database_url=environ.get("LOCKRING_DATABASE") or None,
        redis_url=environ.get("LOCKRING_REDIS") or None,
        extra_hosts=tuple(h for h in environ.get("LOCKRING_ALLOWED_HOSTS", "").replace(",", " ").split() if h != "*"),
        debug=environ.get("LOCKRING_DEBUG", "").lower() in {"1", "true", "yes", "on"},
        locale_dir=_locale(environ.get("LOCKRING_LOCALE") or ""),
    )


def _locale(folder: str) -> Path | None:
    if not folder:
        return None
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise EnvironmentProblem(
            f"LOCKRING_LOCALE is {folder}, which is no folder. Name one that has CODE/LC_MESSAGES."
        )
    return path


def adopt_arguments(arguments: Sequence[str], environ: MutableMapping[str, str]) -> None:
    """Copy `--data FOLDER`, and for `up` also `--port P`, from a command line into the environment.

    Arguments after a bare `--` belong to another program (`manage.py lock KEY -- command`) and are not looked at.
    A flag without a value is left for the command's own parser to complain about.
    """
    if not arguments:
        return
    ours = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    folder = _option(ours, "--data")
    if folder:
        environ["LOCKRING_DATA"] = str(Path(folder).expanduser().absolute())
    port = _option(ours, "--port") if ours[0] == "up" else None
    if port:
        environ["LOCKRING_PORT"] = str(_port(port))


def make_data_folder(data_dir: Path) -> None:
    """Make the data folder if it is missing, for its owner's eyes only.

    Raises:
        EnvironmentProblem: it cannot be made or written to.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot make the data folder {data_dir}: {error.strerror}. Choose another with --data FOLDER."
        ) from error
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise EnvironmentProblem(
            f"the data folder {data_dir} is not writable. Mend its permissions, or choose another with --data FOLDER."
        )


def load_or_make_secret(data_dir: Path) -> str:
    """Return the installation's secret key; make it at first need.

    Two processes that start at once end with the same key: the file is created exclusively, and who loses reads.

    Raises:
        EnvironmentProblem: the folder or the file cannot be used.
    """
    make_data_folder(data_dir)
    path = data_dir / SECRET_FILE_NAME
    try:
        _write_once(path, secrets.token_urlsafe(SECRET_BYTES))
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentProblem(
            f"cannot use the secret key file {path}: {error}. Remove it to get a new one."
        ) from error
    if len(secret) < SECRET_BYTES:
        raise EnvironmentProblem(f"the secret key file {path} is empty or cut short. Remove it to get a new one.")
    return secret


def _write_once(path: Path, text: str) -> None:
    """Create `path` with `text`, whole or not at all; leave an existing file alone."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its key counts
    finally:
        draft.unlink(missing_ok=True)


def _option(arguments: Sequence[str], name: str) -> str | None:
    """Return the last value of `--name value` or `--name=value`, as argparse would."""
    value: str | None = None
    for position, argument in enumerate(arguments):
        if argument == name and position + 1 < len(arguments):
            value = arguments[position + 1]
        elif argument.startswith(name + "="):
            value = argument.removeprefix(name + "=")
    return value


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= PORT_MAX):
        raise EnvironmentProblem(
            f"the port must be a number from 1 to {PORT_MAX} (gRPC is {GRPC_PORT_OFFSET:,} above it), not {text!r}."
        )
    return int(text)
