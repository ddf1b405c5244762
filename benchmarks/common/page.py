"""A real JupyterLab in a real browser, with a probe in the page: it notes kernel messages, drawn points and restores.

The page, the kernels and the jobs run on one machine, so that their clocks are one: all times of the probe are
`Date.now()`, in milliseconds since the epoch.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

import tunelab as tl

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "ui"))

from lab import Desk, Lab  # noqa: E402

#: Runs before anything else in each page that is loaded.
PROBE = r"""
(() => {
  const probe = {bytes: 0, messages: [], asked: {}, drawn: {}, mounted: null};
  window.probe = probe;
  const decoder = new TextDecoder();
  // Jupyter's websocket protocol v1: a count of offsets, the offsets, then channel, header, parent, metadata, content
  // and buffers.
  const number = (data, place) => Number(new DataView(data).getBigUint64(8 * place, true));
  const part = (data, wanted) => {
    const [begin, end] = [number(data, wanted + 1), number(data, wanted + 2)];
    return decoder.decode(new Uint8Array(data, begin, end - begin));
  };
  const binary = data => (ArrayBuffer.isView(data) ? data.buffer : data);
  const Native = window.WebSocket;
  window.WebSocket = class extends Native {
    constructor(...given) {
      super(...given);
      this.addEventListener('message', event => {
        if (!(event.data instanceof ArrayBuffer)) {
          return;
        }
        const header = JSON.parse(part(event.data, 1));
        if (header.msg_type.startsWith('comm_')) {
          probe.bytes += event.data.byteLength;
          const binary = number(event.data, 0) > 6;
          probe.messages.push([new Date(header.date).getTime(), Date.now(), event.data.byteLength, binary]);
        }
      });
    }
    send(data) {
      if (typeof data !== 'string') {
        const header = JSON.parse(part(binary(data), 1));
        if (header.msg_type === 'comm_open') {
          const {target_name: target} = JSON.parse(part(binary(data), 4));
          probe.asked[target] ??= Date.now();
        }
      }
      super.send(data);
    }
  };
  // What stands in a chart once plotly is done: how many points, the last step, and whether there is a line.
  const look = node => {
    if (!node.dataset.points || node.dataset.points === '0') {
      return;
    }
    const drawn = (probe.drawn[node.getAttribute('aria-label')] ??= []);
    const [points, step] = [Number(node.dataset.points), node.data?.[0]?.x.at(-1) ?? null];
    const done = {points, step, at: Date.now(), frame: 0};
    done.path = node.querySelector('.scatterlayer .js-line')?.getAttribute('d').length ?? 0;
    if (done.points !== drawn.at(-1)?.points) {
      drawn.push(done);
      // The task after the next frame's callbacks: the frame has been handed to the compositor.
      requestAnimationFrame(() => setTimeout(() => { done.frame = Date.now(); }));
    }
  };
  new MutationObserver(changes => {
    for (const {target, type, addedNodes} of changes) {
      if (type === 'attributes') {
        look(target);
      } else {
        for (const node of addedNodes) {
          if (!probe.mounted && node.querySelector?.('.tunelab-card')) {
            probe.mounted = Date.now();
          }
        }
      }
    }
  }).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ['data-points']});
})();
"""


@contextmanager
def laboratory() -> Iterator[Lab]:
    """A JupyterLab with a workspace of its own, which this process uses too."""
    folder = Path(tempfile.mkdtemp(prefix="tunelab-benchmark-"))
    lab = Lab(folder)
    # This process writes journals and submits jobs in the same workspace.
    os.environ |= {name: lab.env[name] for name in ("TUNELAB_HOME", "XDG_CACHE_HOME", "IPYTHONDIR")}
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        yield lab
    finally:
        for job in tl.jobs():
            job.cancel()
        for job in tl.jobs():
            until(lambda job=job: not job.folder.has_process(), 60)
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium, as the system has it or as CHROMIUM names it."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        raise SystemExit("There is no chromium; scripts/install_chromium.sh installs it.")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@contextmanager
def desk(browser: Browser, lab: Lab) -> Iterator[Desk]:
    """JupyterLab in a page of its own, with the probe."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.add_init_script(PROBE)
    yield Desk(context.new_page(), lab)
    context.close()


class Busy:
    """How busy the page's main thread was since the last `take`, as the browser counts it."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._last = self._read()

    def take(self) -> float:
        """Return milliseconds of CPU time of the main thread's tasks."""
        now, before = self._read(), self._last
        self._last = now
        return 1e3 * (now - before)

    def _read(self) -> float:
        metrics = {one["name"]: one["value"] for one in self._session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])


def until(condition: Callable[[], Any], timeout_s: float, every_s: float = 0.05) -> Any:
    """Wait until something holds, and return it."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"it did not come to pass within {timeout_s:g} s")
        time.sleep(every_s)
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies, between neighbours linearly."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return the median of rounds with the lowest and the highest."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} … {high:,.{digits}f})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first one the heads, as aligned text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def say(text: str) -> None:
    """Tell on stderr what is being done, so that stdout is the result alone."""
    print(f"{time.strftime('%H:%M:%S')} {text} …", file=sys.stderr, flush=True)
