"""The way in, in a real browser: the strict policy must not break the page that it protects."""

import re

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from dlmsite.access.links import issue_link
from dlmsite.access.roles import Role


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser complains about: blocked styles, missing files, errors."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_link_asks_and_one_click_logs_in(
    live_server: LiveServer, page: Page, complaints: list[str], scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(live_server.url + issue_link("ada", Role.OPERATOR))
    button = page.get_by_role("button", name="Log in as ada")
    expect(button).to_be_focused()
    # Our colours, not the browser's: the sheet was let through by the policy, in both schemes.
    red, green, blue = map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert (red + green + blue < 3 * 64) if scheme == "dark" else (3 * 230 < red + green + blue < 3 * 255)
    assert complaints == []
    button.click()
    page.wait_for_url(live_server.url + "/")
    session = {cookie["name"]: cookie for cookie in page.context.cookies()}["lockring_8000_session"]
    assert session["httpOnly"]
    assert session["sameSite"] == "Lax"


@pytest.mark.django_db(transaction=True)
def test_a_used_link_tells_a_person_what_to_do(live_server: LiveServer, page: Page) -> None:
    path = issue_link("ada", Role.VIEWER)
    page.goto(live_server.url + path)
    page.get_by_role("button", name="Log in as ada").click()
    page.wait_for_url(live_server.url + "/")
    page.context.clear_cookies()
    page.goto(live_server.url + path)
    expect(page.get_by_role("heading")).to_have_text("This login link no longer works")
    expect(page.get_by_text("manage.py invite NAME")).to_be_visible()
    page.get_by_role("link", name="To the login page").click()
    expect(page.get_by_label("Password")).to_be_visible()


@pytest.mark.django_db(transaction=True)
def test_the_login_page_fits_a_narrow_screen(live_server: LiveServer, page: Page, complaints: list[str]) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(live_server.url + "/login/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    assert complaints == []
