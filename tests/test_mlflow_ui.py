"""The tracking page in a real browser: an analyst finds the leaderboard sorted, opens a run and sees its parts.

TRADECAST_SHOTS=FOLDER keeps a picture of each page.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_tracking import REPOSITORY, invented_backtest

from forecasting import tracking

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic",
]  # fmt: skip
SECONDS = 60_000
MODELS = {"seasonal_naive": 1.4, "naive": 1.9, "theta": 1.1, "sarima": 0.95, "ensemble": 0.7}

playwright = pytest.importorskip(
    "playwright.sync_api", reason="no playwright here: pip install 'tradecast[browser]' to see the page in a browser"
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser here: apt-get install chromium to see the page")


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Links that `tradecast ui` prints, with its server running."""
    root = tmp_path_factory.mktemp("project")
    (root / "data").mkdir()
    (root / "data" / "catalogue.csv").write_text("id,title,unit\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRADECAST_HOME", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.record(invented_backtest(root / "data/backtests/headline", MODELS, series=4, cutoffs=60, horizon=6))
        with (root / "log").open("w+") as log:
            server = _start(log)
            try:
                yield _links(server, root / "log")
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait(30)


def _start(log: Any) -> subprocess.Popen[bytes]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from forecasting.cli import main; main()"
    command = [sys.executable, "-c", code, "ui", "--port", str(port)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)


def _links(server: subprocess.Popen[bytes], log: Path) -> list[str]:
    """Wait until the server answers."""
    for _ in range(360):
        found = re.findall(r"http://\S+", log.read_text())[:2]
        assert server.poll() is None, log.read_text()
        if len(found) == 2 and _answers(found[0].split("#")[0]):
            return found
        time.sleep(0.5)
    raise AssertionError(f"The server did not start: {log.read_text()}")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def page() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        found = browser.new_context(viewport={"width": 1400, "height": 800}).new_page()
        found.set_default_timeout(SECONDS)
        yield found
        browser.close()


def _close_assistant(page: Any) -> None:
    """A panel that a new browser shows once."""
    page.get_by_text("MLflow Assistant").first.wait_for()
    page.get_by_role("button", name="Close").first.click()


def _shoot(page: Any, name: str) -> None:
    if folder := os.environ.get("TRADECAST_SHOTS"):
        page.wait_for_timeout(3000)
        page.screenshot(path=f"{folder}/{name}.png")


def test_from_leaderboard_to_run_to_report(links: list[str], page: Any):
    page.goto(links[0])
    page.get_by_role("link", name="ensemble 2026-08").wait_for()
    _close_assistant(page)
    page.get_by_text("comes first").first.wait_for()
    names = page.locator("a", has_text=re.compile(r"2026-08$"))
    assert names.all_inner_texts() == [
        f"{one} 2026-08" for one in ("ensemble", "sarima", "theta", "seasonal_naive", "naive")
    ]
    for words in ("skill", "cov80", "cov95", "verdict", "intervals"):
        page.get_by_role("columnheader", name=words).first.wait_for()
    page.get_by_text("all too narrow").first.wait_for()
    assert page.get_by_text(re.compile("(worse than|may equal) ensemble, p")).count() == 4
    _shoot(page, "leaderboard")

    page.get_by_role("link", name="sarima 2026-08").click()
    page.get_by_text("number 2 of 5").first.wait_for()
    page.get_by_text("observations 2026-08").first.wait_for()  # the dataset
    page.get_by_text("tradecast backtest headline").first.wait_for()
    _shoot(page, "run")

    page.get_by_role("tab", name="Model metrics").click()
    page.get_by_text("step", exact=True).first.wait_for()
    _shoot(page, "metrics")

    page.get_by_role("tab", name="Artifacts").click()
    for name in ("experiment.toml", "forecasts.parquet", "series.csv"):
        page.get_by_text(name).first.wait_for()
    page.get_by_text("report.html").first.click()
    inside = page.frame_locator("iframe")
    inside.get_by_role("heading", name="Which model is best, and is the difference real").wait_for()
    assert inside.locator("svg").count() == 3
    _shoot(page, "report")


def test_charts_by_months_ahead_and_over_time(links: list[str], page: Any):
    page.set_viewport_size({"width": 1400, "height": 1600})
    page.goto(links[1])
    page.get_by_text("By months ahead").first.wait_for()
    _close_assistant(page)
    for title in ("step/skill", "step/cov80", "cutoff/skill"):
        page.get_by_text(title, exact=True).first.wait_for()
    page.locator(".js-plotly-plot .scatterlayer .trace").nth(4).wait_for(state="attached")
    _shoot(page, "charts")
