"""The secret of one cluster, in a file that only its owner reads.

Invariants
  K1  The file is made whole or not at all, with mode 0600; two processes
      that start at once end with the same secret.
  K2  The secret and what is derived from it is never logged.
Elsewhere: renew tokens (lockcore.core.tokens), metadata (channels).
"""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from lockcore.service.problems import ServiceProblem

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "cluster.secret"
SECRET_BYTES: Final = 32


def load_or_create_secret(path: Path) -> bytes:
    """Return the 32 bytes in the file; make it at first need.

    Raises:
        ServiceProblem: the file or its folder cannot be used.
    """
    try:
        if not path.exists():
            _create(path)
        mode = path.stat().st_mode
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no secret"
        raise ServiceProblem(
            f"cannot use the cluster's secret in {path}: {reason}. "
            "Make the folder writable, or remove the file while nothing runs to get a new one."
        ) from None
    if mode & 0o077:
        raise ServiceProblem(f"others can read the cluster's secret {path}: run chmod 600 {path}")
    if len(secret) != SECRET_BYTES:
        raise ServiceProblem(f"the cluster's secret {path} is cut short: remove it while nothing runs to get a new one")
    return secret


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(SECRET_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first: its secret counts
    finally:
        draft.unlink(missing_ok=True)


def derive(secret: bytes, purpose: str) -> bytes:
    """Return the key for one purpose, so that no two uses share one."""
    return hmac.new(secret, purpose.encode(), sha256).digest()
