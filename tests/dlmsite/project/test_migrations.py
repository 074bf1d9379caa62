"""Models and migrations agree, so that an upgrade makes the tables that the code expects."""

from io import StringIO

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_every_change_of_a_model_has_its_migration() -> None:
    out = StringIO()
    try:
        call_command("makemigrations", check=True, dry_run=True, verbosity=1, stdout=out)
    except SystemExit:
        pytest.fail(f"run manage.py makemigrations and commit what it writes:\n{out.getvalue()}")


def test_django_finds_nothing_wrong_with_the_project() -> None:
    call_command("check", fail_level="WARNING", stdout=StringIO(), stderr=StringIO())
