"""The LOCKRING_* environment: defaults, refusals, and the secret key file."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dlmsite.environment import (
    PROJECT_DIR,
    EnvironmentProblem,
    adopt_arguments,
    load_or_make_secret,
    make_data_folder,
    read_environment,
)


def test_without_any_variable_the_site_is_on_loopback_with_sqlite() -> None:
    found = read_environment({})
    assert (found.host, found.port, found.data_dir) == ("127.0.0.1", 8000, PROJECT_DIR / ".lockring")
    assert (found.database_url, found.redis_url, found.debug) == (None, None, False)
    assert found.allowed_hosts == ["localhost", "127.0.0.1", "[::1]"]


def test_every_host_header_is_never_allowed() -> None:
    """`*` would open the door to DNS rebinding."""
    found = read_environment({"LOCKRING_ALLOWED_HOSTS": "*, ring.example", "LOCKRING_HOST": "10.0.0.7"})
    assert found.allowed_hosts == ["localhost", "127.0.0.1", "[::1]", "10.0.0.7", "ring.example"]


@pytest.mark.parametrize("port", ["0", "-1", "eight", "55536", "65536", "8000.5", "٨٠٠٠"])
def test_an_impossible_port_is_refused_with_the_possible_ones(port: str) -> None:
    """Also a port whose gRPC ports, 10,000 above, would not exist."""
    with pytest.raises(EnvironmentProblem, match="from 1 to 55471"):
        read_environment({"LOCKRING_PORT": port})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["up", "--data", "/d", "--port", "8100"], {"LOCKRING_DATA": "/d", "LOCKRING_PORT": "8100"}),
        (["up", "--data=/d", "--port=8100"], {"LOCKRING_DATA": "/d", "LOCKRING_PORT": "8100"}),
        (["status", "--data", "/d", "--json"], {"LOCKRING_DATA": "/d"}),
        (["node", "--port", "8100"], {}),
        (["lock", "key", "--", "program", "--data", "/theirs"], {}),
        (["up", "--data"], {}),
        ([], {}),
    ],
)
def test_the_command_line_reaches_the_settings(arguments: list[str], expected: dict[str, str]) -> None:
    environ: dict[str, str] = {}
    adopt_arguments(arguments, environ)
    assert environ == expected


def test_the_secret_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    first = load_or_make_secret(folder)
    assert load_or_make_secret(folder) == first
    assert stat.S_IMODE((folder / "secret_key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert os.listdir(folder) == ["secret_key"]  # noqa: PTH208 - the draft is gone
    assert load_or_make_secret(tmp_path / "other") != first


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 80])
def test_a_damaged_secret_key_is_not_used(tmp_path: Path, content: bytes) -> None:
    """A guessable key would let anybody forge a session."""
    (tmp_path / "secret_key").write_bytes(content)
    with pytest.raises(EnvironmentProblem, match="Remove it to get a new one"):
        load_or_make_secret(tmp_path)


def test_a_data_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentProblem, match="--data FOLDER"):
        make_data_folder(tmp_path / "file" / "data")


def test_a_bad_variable_ends_in_one_line_without_a_traceback() -> None:
    run = subprocess.run(
        [sys.executable, str(PROJECT_DIR / "manage.py"), "check"],
        env={**os.environ, "LOCKRING_PORT": "eight"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("lockring: the port must be a number from 1 to")
    assert len(run.stderr.splitlines()) == 1


def test_the_first_command_makes_the_data_folder_or_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    run = subprocess.run(
        [sys.executable, str(PROJECT_DIR / "manage.py"), "migrate"],
        env={**os.environ, "LOCKRING_DATA": str(tmp_path / "file" / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "cannot make the data folder" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_asking_for_help_leaves_no_file_behind(tmp_path: Path) -> None:
    """The key and the folder are made when they are needed, not when settings are read."""
    folder = tmp_path / "data"
    run = subprocess.run(
        [sys.executable, str(PROJECT_DIR / "manage.py"), "invite", "--help"],
        env={**os.environ, "LOCKRING_DATA": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert not folder.exists()


def test_a_folder_of_languages_has_to_be_there(tmp_path: Path) -> None:
    """A typing error would otherwise be a site in English, and nobody would know why."""
    assert read_environment({"LOCKRING_LOCALE": str(tmp_path)}).locale_dir == tmp_path
    assert read_environment({}).locale_dir is None
    with pytest.raises(EnvironmentProblem, match="CODE/LC_MESSAGES"):
        read_environment({"LOCKRING_LOCALE": str(tmp_path / "nowhere")})
