"""Both templates in a real browser, answered with the keyboard alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.asking.plan import AskConfig, plan
from beholder.annotation.project import Project, Template
from beholder.annotation.server.connection import Connection, connect
from beholder.annotation.server.local import LocalServer
from beholder.annotation.server.push import push
from beholder.inputs import read_inputs
from tests._page.browser import CHROMIUM, Browser, browsing
from tests.annotation.pictures import save_checkpoints

pytestmark = [
    pytest.mark.label_studio,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]

FILL = """(() => {{
  document.querySelector('input[name=email]').value = {email!r};
  document.querySelector('input[name=password]').value = {password!r};
  document.querySelector('form').submit();
}})()"""
LOADED = """(() => {
  const shown = [...document.querySelectorAll('img')].filter(i => i.src && i.naturalWidth);
  const buttons = [...document.querySelectorAll('button')].map(b => b.innerText);
  return shown.length > 0 && buttons.includes('Submit');
})()"""


@pytest.fixture
def owner(live_server: LocalServer) -> Iterator[Connection]:
    with connect(live_server.url, live_server.token) as connection:
        yield connection


@pytest.fixture
def browser(live_server: LocalServer, tmp_path: Path) -> Iterator[Browser]:
    """A browser whose user has logged in."""
    with browsing(tmp_path / "profile") as opened:
        opened.visit(f"{live_server.url}/user/login/", width=1440)
        who = live_server.credentials
        opened.evaluate(FILL.format(email=who.email, password=who.password))
        opened.wait_for("!location.pathname.startsWith('/user/login')")
        yield opened


def pushed(folder: Path, template: Template, server: LocalServer, owner: Connection) -> Project:
    project = Project(folder=folder / "judging", template=template, title=f"Live {template}")
    sources = save_checkpoints(folder / "out", 2, ("early", "late"))
    plan(project, {name: read_inputs(path) for name, path in sources.items()}, AskConfig())
    return push(project, owner, f"shared:{server.files}")[0]


def stream(browser: Browser, project: Project) -> None:
    """Open the stream of tasks and wait until its form is drawn."""
    browser.visit(f"{project.url}/projects/{project.number}/data?labeling=1", width=1440)
    browser.wait_for(LOADED)


def stored(owner: Connection, project: Project) -> list[dict[str, Any]]:
    """Annotations of the project, as the server exports them."""
    tasks = owner.export(project.number or 0)
    return [a for task in tasks if isinstance(task, dict) for a in task["annotations"]]


def submit(browser: Browser, owner: Connection, project: Project) -> list[dict[str, Any]]:
    browser.press("Enter", control=True)
    for _ in range(100):
        if found := stored(owner, project):
            result: list[dict[str, Any]] = found[0]["result"]
            return result
    raise AssertionError("nothing was stored")


def test_a_pair_is_answered_with_the_keyboard_alone(
    tmp_path: Path, live_server: LocalServer, owner: Connection, browser: Browser
) -> None:
    project = pushed(tmp_path, "pairwise", live_server, owner)
    stream(browser, project)
    for key in "qsc3":  # aesthetics left, detail tie, alignment right, overall right
        browser.press(key)
    browser.screenshot(tmp_path / "pairwise.png")
    assert browser.evaluate("document.documentElement.scrollHeight") <= 1000
    found = {r["from_name"]: r["value"]["choices"] for r in submit(browser, owner, project)}
    assert found == {
        "aesthetics": ["left"],
        "detail_quality": ["tie"],
        "semantic_alignment": ["right"],
        "overall": ["right"],
    }


def test_a_picture_is_rated_with_the_keyboard_alone(
    tmp_path: Path, live_server: LocalServer, owner: Connection, browser: Browser
) -> None:
    project = pushed(tmp_path, "richhf", live_server, owner)
    stream(browser, project)
    for key in "1" + "22" + "333" + "4444":  # a press adds a star
        browser.press(key)
    browser.screenshot(tmp_path / "richhf.png")
    found = {r["from_name"]: r["value"]["rating"] for r in submit(browser, owner, project)}
    assert found == {"plausibility": 1, "alignment": 2, "aesthetics": 3, "overall": 4}
