"""Makes the README's pictures from the real thing: `python scripts/screenshots.py [FOLDER]`.

In a JupyterLab of its own smollm2-135m is fine-tuned for real, and the live view in the cell and the side panel are
taken in both themes while the training runs; before it, a dataset with its preview. FOLDER (`build/screenshots`) keeps
the workspace: a second run takes the jobs as it finds them, and trains nothing anew. With `--datasets` it takes the
dataset alone; with `--rollouts` the answers of `rlvr.ipynb`, with `--evaluation` the comparison of `evaluate.ipynb`,
which it runs first. With `--studio` it takes each place of the Studio, from whatever the workspace has.
"""

import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Locator, expect, sync_playwright

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "ui"))

from lab import Desk, Lab, chromium, until  # noqa: E402

DOCS = REPOSITORY / "docs"
DATA = REPOSITORY / "notebooks" / "data"
#: Of so many steps, those that are done when the pictures are taken.
STEPS, TAKEN_AT = 40, 34
#: A training on two CPU cores that others use too.
PATIENCE_S = 3600

# In the order of their start: one job runs at a time.
DATASETS = """
import tunelab as tl

tl.Dataset.create("reminders", "reminders.jsonl", technique="sft")
tl.Dataset.create("everyday", "everyday.jsonl", technique="dpo")
"""
JOBS = f"""
import tunelab as tl

def start(name, technique, dataset, split, **hyperparameters):
    given = {{"per_device_train_batch_size": 2, "logging_steps": 1, **hyperparameters}}
    tl.customize(
        name=name, model="smollm2-135m", technique=technique, dataset=dataset, split=split, hyperparameters=given
    )

if not len(tl.jobs()):
    start("records", "sft", "reminders@1", 8, max_steps=12, eval_steps=6)
    start("chatty", "dpo", "everyday@1", 16, max_steps={STEPS}, eval_steps=8, save_steps=8, learning_rate=5e-5)
    start("briefer", "dpo", "everyday@1", 16, max_steps={STEPS})
"""


def main() -> int:
    """Train if need be, and write the pictures; return the exit status."""
    given = [one for one in sys.argv[1:] if not one.startswith("--")]
    folder = Path(given[0] if given else "build/screenshots").absolute()
    lab = Lab(folder)
    try:
        for option, notebook, take_it in (
            ("--rollouts", "rlvr", take_rollouts),
            ("--evaluation", "evaluate", take_evaluation),
            ("--studio", "evaluate", take_studio),
        ):
            if option not in sys.argv:
                continue
            if lab.python("import tunelab as tl; print(len(tl.jobs()))") == "0":
                tour = [sys.executable, "scripts/notebooks.py", f"notebooks/{notebook}.ipynb"]
                subprocess.run(tour, env=lab.env, cwd=REPOSITORY, check=True)
            with sync_playwright() as playwright:
                context = chromium(playwright).new_context(
                    viewport={"width": 1360, "height": 1150}, device_scale_factor=1.5
                )
                take_it(Desk(context.new_page(), lab).open())
            return 0
        for name in ("reminders.jsonl", "everyday.jsonl"):
            (lab.root / name).write_text((DATA / name).read_text(encoding="utf-8"), encoding="utf-8")
        lab.python(DATASETS)
        with sync_playwright() as playwright:
            context = chromium(playwright).new_context(
                viewport={"width": 1360, "height": 1150}, device_scale_factor=1.5
            )
            take_dataset(Desk(context.new_page(), lab).open())
        if "--datasets" in sys.argv:
            return 0
        lab.python(JOBS)
        reached = (
            f"import tunelab as tl; v = tl.job('chatty').view(); print(v.has_ended or (v.step or 0) >= {TAKEN_AT})"
        )
        # Seldom: each look is a process of its own, on the cores of the training.
        until(lambda: lab.python(reached) == "True", PATIENCE_S, every_s=10)
        lab.write("chatty.ipynb", ["%load_ext tunelab\nimport tunelab as tl", 'tl.job("chatty")'])
        with sync_playwright() as playwright:
            browser = chromium(playwright)
            context = browser.new_context(viewport={"width": 1360, "height": 860}, device_scale_factor=1.5)
            take(Desk(context.new_page(), lab).open("chatty.ipynb"))
    finally:
        lab.python("import tunelab as tl\nfor job in tl.jobs():\n    job.cancel().wait()")
        lab.close()
    return 0


def take_studio(desk: Desk) -> None:
    """Write the pictures of the Studio's places, and of the form, in both themes."""
    panel = desk.panel()
    for theme in ("Light", "Dark"):
        desk.theme(theme)

        def keep(name: str, theme: str = theme) -> None:
            desk.page.mouse.move(1300, 20)
            desk.page.wait_for_load_state("networkidle")
            panel.screenshot(path=DOCS / f"studio-{name}-{theme.lower()}.png", animations="disabled")

        for place in ("Models", "Datasets", "Jobs", "Evaluations", "Evaluators"):
            tab = panel.get_by_role("tab", name=re.compile(f"^{place}"))
            tab.click(timeout=60_000)
            # A second click gives the list where a page was open.
            tab.click()
            expect(panel.locator(".tunelab-row").first).to_be_visible(timeout=60_000)
            keep(place.lower())
        panel.get_by_role("tab", name=re.compile("^Models")).click()
        panel.get_by_role("button", name=re.compile("@")).first.click()
        model = panel.get_by_role("region", name=re.compile("^Model "))
        expect(model).to_be_visible(timeout=60_000)
        model.get_by_role("button", name="Continue…").first.click()
        expect(panel.get_by_role("form", name="Customize")).to_be_visible(timeout=60_000)
        keep("customize")


def take_dataset(desk: Desk) -> None:
    """Write the pictures of a dataset with what the model will see of it, in both themes."""
    panel = desk.panel()
    panel.get_by_role("tab", name="Datasets").click()
    panel.get_by_role("button", name="everyday").first.click(timeout=60_000)
    page = panel.get_by_role("region", name="Dataset everyday@1")
    page.get_by_role("button", name="Open as tab").click(timeout=60_000)
    view = desk.page.get_by_role("main").get_by_role("region", name="Dataset everyday@1")
    view.get_by_role("button", name="Preview").click(timeout=60_000)
    desk.command("application:toggle-left-area")
    expect(view.get_by_role("img", name=re.compile("[Ll]ength"))).to_be_visible(timeout=300_000)
    shown = view.locator(".tunelab-section").filter(
        has=desk.page.get_by_role("heading", name="What the model will see")
    )
    for theme in ("Light", "Dark"):
        desk.theme(theme)
        desk.page.mouse.move(0, 0)
        shown.evaluate("node => node.scrollIntoView()")
        box = shown.bounding_box()
        assert box is not None
        part = {"x": box["x"], "y": box["y"], "width": box["width"], "height": 520}
        desk.page.screenshot(path=DOCS / f"dataset-{theme.lower()}.png", animations="disabled", clip=part)


def job_as_tab(desk: Desk, name: str) -> Locator:
    """Open the newest job of a name as a tab, with the panel out of the way, and return its view."""
    panel = desk.panel()
    panel.get_by_role("button", name=re.compile(f"Open job {name}")).first.click(timeout=60_000)
    page = panel.get_by_role("region", name=re.compile(f"^Job {name}"))
    page.get_by_role("button", name="Open as tab").click(timeout=60_000)
    view = desk.page.get_by_role("main").get_by_role("region", name=re.compile(f"^Job {name}"))
    desk.command("application:toggle-left-area")
    return view


def take_rollouts(desk: Desk) -> None:
    """Write the pictures of a reinforcement job: its curves, and the best and worst answers of a step."""
    view = job_as_tab(desk, "reader")
    table = view.get_by_role("table", name="Rollouts")
    expect(table.get_by_role("row").nth(1)).to_be_visible(timeout=60_000)
    step = view.get_by_role("textbox", name=re.compile("Step, up to"))
    step.fill("6")
    step.press("Enter")
    expect(table).to_have_attribute("data-step", "6")
    for theme in ("Light", "Dark"):
        desk.theme(theme)
        desk.page.mouse.move(0, 0)
        expect(view.locator(".scatterlayer .trace").first).to_be_visible(timeout=60_000)
        view.screenshot(path=DOCS / f"rollouts-{theme.lower()}.png", animations="disabled")


def take_evaluation(desk: Desk) -> None:
    """Write the pictures of an evaluation: the comparison, and the first records of the table, in both themes."""
    view = job_as_tab(desk, "friendlier")
    expect(view.get_by_role("table", name="Records").get_by_role("row").nth(1)).to_be_visible(timeout=60_000)
    for theme in ("Light", "Dark"):
        desk.theme(theme)
        desk.page.mouse.move(0, 0)
        view.screenshot(path=DOCS / f"evaluation-{theme.lower()}.png", animations="disabled")


def take(desk: Desk) -> None:
    """Write the pictures of the job in the cell, and of the panel, in both themes."""
    desk.run(0)
    desk.run(1)
    view, panel = desk.job(1), desk.panel()
    expect(panel.get_by_role("list", name="Jobs")).to_be_visible(timeout=60_000)
    for theme in ("Light", "Dark"):
        desk.theme(theme)
        desk.page.mouse.move(0, 0)
        expect(view.locator(".scatterlayer .trace").first).to_be_visible(timeout=60_000)
        # What opened the panel has the focus, and its ring.
        desk.page.evaluate("document.activeElement?.blur()")
        panel.screenshot(path=DOCS / f"panel-{theme.lower()}.png", animations="disabled")
        desk.command("application:toggle-left-area")
        expect(panel).to_be_hidden(timeout=60_000)
        view.screenshot(path=DOCS / f"job-{theme.lower()}.png", animations="disabled")
        desk.panel()


if __name__ == "__main__":
    sys.exit(main())
