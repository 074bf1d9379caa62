"""A measurement in a process of its own, with a folder of its own: its database is another one.

Elsewhere: what is measured (audit, moments, recorder), how it is told (report).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile

from tests.bench.report import NotMeasured
from tests.bench.site import PROJECT


async def said_by(*arguments: str, **environ: str) -> str:
    """Return what a Python program prints.

    Unless `environ` has another one, LOCKRING_DATA names a folder that is empty, and gone afterwards.

    Raises:
        NotMeasured: it failed; says with what.
    """
    with tempfile.TemporaryDirectory(prefix="lockring-bench-") as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            cwd=PROJECT,
            env={**os.environ, "LOCKRING_DATA": folder, **environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    text = said.decode(errors="replace").strip()
    if process.returncode != 0:
        raise NotMeasured(f"{' '.join(arguments[:2])} ended with {process.returncode}: {text[-300:]}")
    return text
