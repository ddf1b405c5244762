"""One JupyterLab and one browser for all tests of the page; each test has a page and a layout of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import SMALL, TINY, Desk, Lab, chromium, until
from playwright.sync_api import Browser, Page, sync_playwright

RESULTS = Path("test-results")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Lab]:
    """A JupyterLab whose folder has a tiny model, `tiny`, and rows, `pairs.jsonl`."""
    started = Lab(tmp_path_factory.mktemp("lab"))
    samples = Path(__file__).parents[2] / "notebooks" / "data"
    (started.root / "tiny").symlink_to(tiny)
    rows = (samples / "everyday.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (started.root / "pairs.jsonl").write_text("".join(rows[:48]), encoding="utf-8")
    yield started
    for job in started.jobs():
        started.cancel(job)
    started.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with sync_playwright() as playwright:
        yield chromium(playwright)


@pytest.fixture
def kernels(lab: Lab) -> Iterator[None]:
    """Ends a test's kernels after its page: those that follow a job go on with it, and slow the next test down."""
    yield
    lab.end_kernels()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest, kernels: None) -> Iterator[Page]:
    """A page whose errors fail the test, kept as a picture when the test fails."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(error.stack or str(error)))
    yield page
    if getattr(request.node, "failed", False):
        RESULTS.mkdir(exist_ok=True)
        page.screenshot(path=RESULTS / f"{request.node.name}.png")
    context.close()
    assert not errors


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Let the page's fixture know whether its test has failed."""
    report = yield
    item.failed = getattr(item, "failed", False) or report.failed  # type: ignore[attr-defined]
    return report


@pytest.fixture
def desk(page: Page, lab: Lab) -> Desk:
    """JupyterLab in a page of its own; `open` loads it."""
    return Desk(page, lab)


@pytest.fixture
def own_jobs(lab: Lab) -> Iterator[None]:
    """Ends the jobs of a test with it, also where it failed: the device is for one at a time."""
    before = lab.jobs()
    yield
    for job in lab.jobs() - before:
        lab.cancel(job)


@pytest.fixture(scope="session")
def start(lab: Lab) -> Callable[..., str]:
    """A function that starts a job as a script does, and returns its id."""

    def start(name: str, **hyperparameters: Any) -> str:
        given = TINY | {"name": name, "hyperparameters": SMALL | hyperparameters}
        return lab.python(f"import tunelab as tl\nprint(tl.customize({given!r}).id)")

    return start


@pytest.fixture(scope="module")
def running(lab: Lab, start: Callable[..., str]) -> Iterator[str]:
    """The id of a job that trains as long as the module's tests."""
    job = start("endless", max_steps=1_000_000, eval_steps=100, save_steps=1_000_000)
    journal = lab.home / "jobs" / job / "journal.jsonl"
    until(lambda: journal.exists() and b"rewards/margins" in journal.read_bytes())
    yield job
    lab.cancel(job)


@pytest.fixture(scope="session")
def done(lab: Lab, start: Callable[..., str]) -> str:
    """The id of a job that has ended."""
    job = start("done", max_steps=12, eval_steps=6)
    lab.python(f"import tunelab as tl; assert tl.job({job!r}).wait().state == 'completed'")
    return job
