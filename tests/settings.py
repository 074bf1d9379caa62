"""The settings under test: those of the site, with a data folder that lasts for one test run.

pytest-django reads the settings before any conftest.py, so the environment is put right here and not there.

Elsewhere: the settings themselves (dlmsite.settings), the folder's end (tests/conftest.py).
"""

import os
import tempfile
from pathlib import Path

# No test may touch a real .lockring, nor depend on what the developer's shell has set, but for what is said to tests.
for _name in [name for name in os.environ if name.startswith("LOCKRING_")]:
    if _name != "LOCKRING_DATABASE" and not _name.startswith("LOCKRING_SIM_"):
        del os.environ[_name]
TEST_RUN_DIR = Path(tempfile.mkdtemp(prefix="lockring-tests-"))
(TEST_RUN_DIR / "data").mkdir(mode=0o700)
os.environ["LOCKRING_DATA"] = str(TEST_RUN_DIR / "data")

from dlmsite.settings import *  # noqa: E402, F403

# The slow hash is what the site wants and what dozens of test logins do not.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
