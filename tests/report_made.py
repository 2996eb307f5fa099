"""A report of the embedded figures by a cheap model, with scenarios and an invented backtest: for tests of the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from test_tracking import MODELS, invented_backtest

from forecasting import backtest_files, report
from forecasting.report import Content
from forecasting.report_page import html
from forecasting.workflow import Request

CARS = "jp_ru.exports.transport.motor_vehicles.cars"
SERIES = ("jp_ru.exports.value", f"{CARS}.value", f"{CARS}.quantity", "jp_other.imports.mineral_fuels.lng.quantity")
REQUEST = Request(series=SERIES, paths=200, model="seasonal_naive")
SCENARIOS = ("car-ban-all", "lng-stop")


def backtest(folder: Path) -> Path:
    """An invented backtest of series that the report shows."""
    made = backtest_files.read(invented_backtest(folder / "invented", MODELS))
    names = dict(zip(sorted(made.rows["series"].unique()), SERIES, strict=False))
    rows = made.rows.assign(series=made.rows["series"].map(names))
    about = {name: cell for name, cell in made.about.items() if name != "table"}
    timings = made.timings
    (folder / "renamed").mkdir()
    return backtest_files.write(folder / "renamed", rows, timings, about, 'name = "invented"\n').folder


def content(folder: Path, news: bool = False, request: Request = REQUEST) -> Content:
    return report.gather(request, "seasonal_naive", SCENARIOS, str(backtest(folder)), news)


def page(folder: Path, **changed: object) -> Path:
    """The page as a file."""
    request = replace(REQUEST, **changed)  # type: ignore[arg-type]
    path = folder / "report.html"
    path.write_text(html(content(folder, request=request), request), encoding="utf-8")
    return path
