"""The report in a real browser: quiet, reachable, readable anywhere, and its controls say what the command says.

TRADECAST_SHOTS=FOLDER keeps pictures.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented_trade import AMOUNTS, CATALOGUE, CUTOFF, assume, assumptions, forecast, history
from report_made import CARS, SCENARIOS, SERIES, page
from test_mlflow_ui import FLAGS

from forecasting import scenarios
from forecasting.impose import Ground, impose
from forecasting.panel import Panel
from forecasting.report_page import live
from forecasting.report_page.page import _static
from forecasting.scenario import Assumption, PassThrough, Reroute, Scenario, Size
from forecasting.workflow import Dataset, Request

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="no playwright here: pip install 'tradecast[browser]' to see the page in a browser"
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser here: apt-get install chromium to see the page")
ROUNDING = 1e-4
"""Of the larger end of an interval: 16 bits a path leave about a fifth of it."""
PATHWISE = 1e-3
"""Of the largest path: a small difference of large numbers keeps fewer digits."""


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with playwright.sync_playwright() as made:
        browser = made.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(tmp_path_factory.mktemp("page")).as_uri()


@pytest.fixture
def opened(driver: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page in a window of these settings; whatever it complains of or asks the network for fails the test."""
    contexts, wrong = [], []

    def one(width: int = 1280, **more: Any) -> Any:
        context = driver.new_context(viewport={"width": width, "height": 900}, **more)
        contexts.append(context)
        found = context.new_page()
        found.on("console", lambda message: wrong.append(message.text))
        found.on("pageerror", lambda error: wrong.append(str(error)))
        found.on(
            "request", lambda asked: wrong.append(asked.url) if not asked.url.startswith((address, "blob:")) else None
        )
        found.goto(address)
        if more.get("java_script_enabled", True):
            found.locator("#live[data-computed]").wait_for()
        return found

    yield one
    for context in contexts:
        context.close()
    assert not wrong


def shoot(found: Any, name: str, where: str = "") -> None:
    if folder := os.environ.get("TRADECAST_SHOTS"):
        target = found.locator(where) if where else found
        target.screenshot(path=f"{folder}/report-{name}.png")


# --- The page --------------------------------------------------------------------------------------------


def test_opens_quietly_with_every_section_and_chart(opened: Callable[..., Any]):
    found = opened()
    shoot(found, "top")
    names = found.locator("nav a").all_inner_texts()
    assert names == ["Next quarter", "Series", "What if", "What changed", "Track record", "Figures", "Method"]
    for name in (
        "#headline-changes",
        "#card-0",
        "#card-1-past",
        "#backtest-skill",
        "#backtest-coverage",
        "#backtest-pit",
    ):
        found.locator(name).scroll_into_view_if_needed()
        found.locator(f"{name} svg").wait_for()
    assert "NaN" not in found.locator("main").inner_html()


def test_without_scripts_the_tables_are_there(opened: Callable[..., Any]):
    found = opened(java_script_enabled=False)
    assert found.locator("#headline-table tbody tr").count() == len(SERIES)
    assert found.locator("#live").is_hidden()
    assert found.get_by_text("as filed, with sources").count() == len(SCENARIOS)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(opened: Callable[..., Any], width: int, scheme: str):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe here: pip install tradecast[browser]"
    )
    found = opened(width, color_scheme=scheme)
    found.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert found.evaluate("document.documentElement.scrollWidth") <= width
    faults = axe.Axe().run(found).response["violations"]
    assert [one["id"] for one in faults if one["impact"] in ("serious", "critical")] == []
    shoot(found, f"{scheme}-{width}")


def test_dark_is_dark_and_light_is_light(opened: Callable[..., Any]):
    def paper(scheme: str) -> int:
        text = opened(color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", text)[:3]))

    assert paper("dark") < 150 < 600 < paper("light")


def test_prints_to_pages(opened: Callable[..., Any]):
    found = opened()
    made = found.pdf(format="A4")
    assert made.startswith(b"%PDF")
    assert 5 <= len(re.findall(rb"/Type\s*/Page\b", made)) <= 40


def test_charts_are_read_by_keys_and_saved(opened: Callable[..., Any]):
    found = opened(accept_downloads=True)
    found.locator("#card-2").scroll_into_view_if_needed()
    chart = found.locator("#card-2 svg")
    assert "passenger cars, quantity" in chart.get_attribute("aria-label")
    chart.focus()
    chart.press("ArrowLeft")
    said = found.locator("figure:has(#card-2) .readout").first
    assert re.match(r"Jun 2027: median [\d,.]+; 95 % [\d,.]+ to [\d,.]+", said.inner_text())
    figure = found.locator("figure:has(#card-2)").first
    with found.expect_download() as got:
        figure.get_by_role("button", name=re.compile("as SVG")).click()
    text = Path(got.value.path()).read_text(encoding="utf-8")
    assert "passenger cars, quantity" in text
    assert "Trade Statistics of Japan" in text
    assert "class=" not in text
    with found.expect_download() as got:
        figure.get_by_role("button", name=re.compile("as PNG")).click()
    assert Path(got.value.path()).read_bytes().startswith(b"\x89PNG")


def test_tables_are_saved_with_intervals_as_two_columns(opened: Callable[..., Any]):
    found = opened(accept_downloads=True)
    with found.expect_download() as got:
        found.get_by_role("button", name=re.compile("CSV: Forecast of")).click()
    saved = pd.read_csv(io.BytesIO(Path(got.value.path()).read_bytes()))
    assert list(saved.columns[:5]) == ["Series", "Unit", "Median", "80 % interval from", "80 % interval to"]
    assert len(saved) == len(SERIES)
    assert (saved["80 % interval from"] < saved["Median"]).all()
    assert got.value.suggested_filename == "headline-table.csv"


# --- Live controls beside the command --------------------------------------------------------------------


def shown_table(found: Any) -> pd.DataFrame:
    """Baseline, scenario with 80 % interval, difference with 80 % interval, by series and period."""
    rows = found.locator("#live-table tbody tr").evaluate_all(
        """rows => rows.map((row) => [row.dataset.series, row.dataset.period, ...[...row.querySelectorAll("[data-v]")]
           .flatMap((cell) => cell.dataset.w === undefined ? [cell.dataset.v] : [cell.dataset.v, cell.dataset.w])])"""
    )
    names = ["series", "period", "before", "q50", "q10", "q90", "d50", "d10", "d90", "percent"]
    table = pd.DataFrame(rows, columns=names)
    return table.astype(dict.fromkeys(names[2:], float)).set_index(["series", "period"])


def command_table(tradecast: Callable[..., tuple[int, str, str]], file: Path, out: Path) -> pd.DataFrame:
    wanted = [word for one in SERIES for word in ("--series", one)]
    code, _, said = tradecast(
        "scenario",
        "run",
        file,
        *wanted,
        "--model",
        "seasonal_naive",
        "--paths",
        200,
        "--horizon",
        10,
        "--no-track",
        "--out",
        out,
    )
    assert code == 0, said
    table = pd.read_csv(out)
    parts = {
        name: table[(table["scenario"] == scenario) & table["kind"].isin(kinds)].set_index(["series", "period"])
        for name, scenario, kinds in (
            ("before", "baseline", ("quarter", "fiscal_year")),
            ("q", table["scenario"].iloc[-1], ("quarter", "fiscal_year")),
            ("d", table["scenario"].iloc[-1], ("quarter-difference", "fiscal_year-difference")),
        )
    }
    columns = {"before": parts["before"]["q50"]}
    columns |= {f"{name}{of}": parts[name][f"q{of}"] for name in "qd" for of in (50, 10, 90)}
    return pd.DataFrame(columns)


def agree(page_says: pd.DataFrame, command_says: pd.DataFrame) -> None:
    moved = command_says[(command_says[["d50", "d10", "d90"]] != 0).any(axis=1)]
    assert set(page_says.index) == set(moved.index)
    there = moved.loc[page_says.index]
    size = np.maximum(there["before"], there["q90"]).to_numpy()[:, None]
    columns = list(there.columns)
    assert (np.abs(page_says[columns].to_numpy() - there[columns].to_numpy()) <= ROUNDING * size).all()


def set_range(control: Any, value: int) -> None:
    control.evaluate("(one, value) => { one.value = value; one.dispatchEvent(new Event('input')); }", value)


def computed(found: Any) -> int:
    return int(found.locator("#live").get_attribute("data-computed"))


def test_as_filed_the_page_says_what_the_command_says(
    opened: Callable[..., Any], tradecast: Callable[..., tuple[int, str, str]], tmp_path: Path
):
    found = opened()
    for name in SCENARIOS:
        before = computed(found)
        found.locator("#live-picker label", has_text=name).click()
        found.wait_for_function(
            "(before) => Number(document.getElementById('live').dataset.computed) >= before", arg=before
        )
        found.wait_for_function(
            "(name) => document.getElementById('live-chart-title').textContent.includes(name)", arg=name
        )
        file = scenarios.find(name)
        agree(shown_table(found), command_table(tradecast, file, tmp_path / f"{name}.csv"))


def test_moved_controls_say_what_the_command_says_of_a_changed_file(
    opened: Callable[..., Any], tradecast: Callable[..., tuple[int, str, str]], tmp_path: Path
):
    text = scenarios.find("car-ban-all").read_text(encoding="utf-8")
    changed = text.replace('start = "2027-01"\nramp = 1 ', 'size = "40 %"\nstart = "2026-11"\nramp = 3 ')
    changed = changed.replace('["-10 %", "-3 %", "0 %"]', '["-20 %", "-6 %", "0 %"]').replace("ramp = 12", "ramp = 0")
    assert changed.count("2026-11") == 1
    assert changed.count("ramp = 0") == 1
    file = tmp_path / "changed.toml"
    file.write_text(changed, encoding="utf-8")
    found = opened()
    first, second = found.locator("#live-controls fieldset").all()
    before = computed(found)
    set_range(first.get_by_label("Size"), 40)
    first.get_by_label("Start").select_option(label="Nov 2026")
    set_range(first.get_by_label("Ramp"), 3)
    set_range(second.get_by_label("Size"), 200)
    set_range(second.get_by_label("Ramp"), 0)
    assert second.locator("output").first.inner_text() == "−6 % (−20 % to 0 %)"
    found.wait_for_function("(before) => Number(document.getElementById('live').dataset.computed) > before", arg=before)
    found.wait_for_timeout(200)
    shoot(found, "what-if", "#scenarios")
    agree(shown_table(found), command_table(tradecast, file, tmp_path / "changed.csv"))

    for one in (first, second):
        one.get_by_role("checkbox").uncheck()
    found.get_by_text("Nothing that is shown moves.").first.wait_for()
    found.get_by_role("button", name=re.compile("Back to")).click()
    found.locator(f'#live-table tr[data-series="{CARS}.quantity"]').first.wait_for()


# --- The arithmetic beside that of the command, on an invented trade --------------------------------------


@pytest.fixture(scope="module")
def arithmetic(driver: Any) -> Any:
    """A page on which impose.js is loaded."""
    found = driver.new_page()
    found.evaluate(f"(() => {{ {_static('impose.js')}; window.Impose = Impose; }})()")
    return found


def in_browser(
    arithmetic: Any, assumed: tuple[Assumption, ...], seed: int, base: Any
) -> tuple[dict[str, np.ndarray], Any]:
    """Paths of every carried series under these assumptions, by the page and by impose.py."""
    y = history()
    y = y.reindex(pd.period_range(y.index[0], CUTOFF + 3, freq="M"))
    for one, last in zip(base.series, base.cutoff, strict=True):
        for month in pd.period_range(CUTOFF + 1, last, freq="M"):
            y.loc[month, one] = base.column(one)[0, base.months.get_loc(month)]
    ground = Ground(CATALOGUE, y, seed=seed)
    dataset = Dataset(pd.DataFrame(), Panel(y), CATALOGUE, "invented", embedded=False)
    what = Scenario("what-if", assumed, ordered=True)
    cube = SimpleNamespace(forecast=base, y=y, dataset=dataset, shown=AMOUNTS)
    worlds = SimpleNamespace(cube=cube, ground=ground, scenarios=(what,))
    nothing = pd.DataFrame(columns=["series", "unit", "kind", "period", "q50"])
    told: Any = SimpleNamespace(worlds=worlds, outlook=SimpleNamespace(series=AMOUNTS, table=nothing))
    packed = live.payload(told, Request())
    cells = arithmetic.evaluate(
        """(text) => { const { live, base } = Impose.load(JSON.parse(text));
          const cells = Impose.impose(live, base, live.scenarios[0].assumptions);
          return Object.fromEntries(Object.entries(cells).map(([name, one]) => [name, Array.from(one)])); }""",
        json.dumps(packed),
    )
    shape = (packed["paths"], packed["months"])
    return {name: np.array(one).reshape(shape) for name, one in cells.items()}, impose(base, what, ground)


def check(arithmetic: Any, *assumed: Assumption, seed: int = 0, base: Any = None) -> None:
    base = forecast(5, none=0.1) if base is None else base
    page_says, command_says = in_browser(arithmetic, assumed, seed, base)
    for one in command_says.series:
        theirs = command_says.column(one)
        if one not in page_says:
            assert np.array_equal(theirs, base.column(one)), one
            continue
        size = np.maximum(np.abs(theirs).max(), np.abs(base.column(one)).max())
        assert np.abs(page_says[one] - theirs).max() <= PATHWISE * size, one


@settings(max_examples=40)
@given(data=st.data())
def test_any_two_assumptions_give_the_paths_of_the_command(arithmetic: Any, data: st.DataObject):
    assumed = [data.draw(assumptions()) for _ in range(data.draw(st.integers(1, 2)))]
    check(arithmetic, *assumed, base=forecast(data.draw(st.integers(0, 5)), ahead=data.draw(st.integers(0, 1))))


TRIANGULAR, NORMAL = Size((0.2, 0.5, 0.9), "triangular"), Size((1.0, 0.15), "normal")


@pytest.mark.parametrize(
    "one",
    [
        assume("ru.cars.quantity", "ban", TRIANGULAR, ramp=2, reroute=(Reroute("other.cars.quantity", TRIANGULAR, 2),)),
        assume("ru.cars.quantity", "ban", 1.0, reroute=(Reroute("other.cars.quantity", TRIANGULAR, 1, True),)),
        assume("ru.gas.quantity", "scale", -0.5, reroute=(Reroute("other.gas.quantity", Size((0.8,)), 0),)),
        assume("ru.gas.quantity", "cap", 1000.0, per="quarter"),
        assume("ru.coal.value", "cap", 20000.0, per="fiscal_year", start=CUTOFF + 3),
        assume("ru.trade", "scale", TRIANGULAR),
        assume("ru.vehicles.rest.value", "ban", TRIANGULAR),
        assume("ru.cars.price", "scale", TRIANGULAR, ramp=3),
        assume("other.gas.price", "scale", 0.2),
        assume("usd_jpy", "scale", Size((-0.13, 0.02), "normal"), covariate=True, pass_through=(
            PassThrough("*.gas.price", NORMAL, 1), PassThrough("ru.cars.price", Size((0.3,)), 0))),
    ],
    ids=lambda one: f"{one.kind} {one.target}",
)  # fmt: skip
def test_each_way_of_moving_gives_the_paths_of_the_command(arithmetic: Any, one: Assumption):
    check(arithmetic, one, base=forecast(2))
    check(arithmetic, replace(one, name="again"), seed=3)


def test_draws_follow_the_start(arithmetic: Any):
    """A later start draws its sizes anew, in the page as in the command."""
    one = assume("ru.coal.quantity", "ban", TRIANGULAR)
    here, _ = in_browser(arithmetic, (one,), 0, forecast(2))
    there, _ = in_browser(arithmetic, (replace(one, start=one.start + 1),), 0, forecast(2))
    assert not np.allclose(here["ru.coal.quantity"][:, -1], there["ru.coal.quantity"][:, -1], rtol=1e-3)
