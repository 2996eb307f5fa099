"""What a report gathers and writes: the numbers of the forecast, nothing from outside, nothing run that was data."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_made import CARS, REQUEST, SERIES, content, page

from forecasting import store, workflow
from forecasting.report import HEADLINE_COLUMNS, SOURCE_COLUMNS, Content
from forecasting.report_method import METHOD
from forecasting.report_page import html, live, specs
from forecasting.report_page.elements import Markup, data_block, el, interval, number, table
from forecasting.report_page.words import period_words
from forecasting.units import scale_of

HOSTILE = '</script><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return content(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def written(made: Content) -> str:
    return html(made, REQUEST)


# --- Content ---------------------------------------------------------------------------------------------


def test_headline_is_the_forecast_of_the_next_full_quarter(made: Content):
    assert tuple(made.headline.columns) == HEADLINE_COLUMNS
    assert tuple(made.headline["series"]) == made.outlook.series
    assert set(made.headline["period"]) == {"2026Q4"}
    cars = made.headline.set_index("series").loc[f"{CARS}.quantity"]
    totals = made.outlook.totals["quarter"]
    at, row = totals.series.index(f"{CARS}.quantity"), totals.labels.index("2026Q4")
    paths, ago = totals.paths[:, row, at], made.outlook.history[f"{CARS}.quantity"]
    year_ago = ago.loc[pd.Period("2025-10", "M") : pd.Period("2025-12", "M")].sum()
    assert cars["q10"] == pytest.approx(np.quantile(paths, 0.1))
    assert cars["year_ago"] == pytest.approx(year_ago)
    assert cars["change"] == pytest.approx(100 * np.median(paths / year_ago - 1))
    assert cars["probability_of_fall"] == pytest.approx((paths < year_ago).mean())


def test_cards_hold_stages_and_the_record_of_the_backtest(made: Content):
    card = next(one for one in made.cards if one.entry.id == f"{CARS}.quantity")
    assert {"provisional", "implied", "detailed"} == set(card.stages)
    assert card.judged in set(made.backtest.board.table["model"])  # type: ignore[union-attr]
    assert len(card.past) == 12
    assert set(card.covered["coverage"]) == {50, 80, 90, 95}
    assert tuple(made.sources.columns) == SOURCE_COLUMNS
    assert made.sources["figures"].sum() == len(
        made.dataset.observations[made.dataset.observations["series"].isin(made.outlook.resting)]
    )


# --- Elements --------------------------------------------------------------------------------------------


def test_text_is_escaped_and_markup_is_not():
    assert el("p", HOSTILE, el("b", "&")) == Markup(
        "<p>&lt;/script&gt;&lt;img src=x onerror=&quot;window.hacked=1&quot;&gt;&lt;script&gt;window.hacked=1"
        "&lt;/script&gt;<b>&amp;</b></p>"
    )
    assert el("p", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;"></p>'
    assert "</script><" not in data_block("x", {"title": HOSTILE})[:-9]


def test_a_table_keeps_what_rounding_took():
    scale = scale_of("mn_jpy", [123456.0])
    shown = table(
        "T",
        ["Name", "Value", "80 %"],
        [["a", number(scale.number(-123456.0), -123.456), interval(scale, 1e5, 2e5)]],
        "t",
    )
    assert '<td class="n" data-v="-123.456">−123.5</td>' in shown
    assert '<td class="n" data-v="100" data-w="200">100.0 to 200.0</td>' in shown


@pytest.mark.parametrize(
    ("label", "words"), [("2026-09", "September 2026"), ("2026Q4", "Oct–Dec 2026"), ("FY2026", "Fiscal 2026 (Apr–Mar)")]
)
def test_periods_are_written_as_people_do(label: str, words: str):
    assert period_words(label) == words


def test_a_line_breaks_where_months_are_missing():
    assert specs._with_gaps([[1, 2.0], [2, 3.0], [5, 4.0]]) == [[1, 2.0], [2, 3.0], [3, None], [5, 4.0]]


# --- The page --------------------------------------------------------------------------------------------


def test_same_inputs_same_bytes(made: Content, written: str, tmp_path: Path):
    assert html(made, REQUEST) == written
    assert page(tmp_path, cache=False).read_text(encoding="utf-8") == written


def test_nothing_is_fetched_and_only_its_own_scripts_may_run(written: str):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', written)
    assert policy
    assert "default-src &#x27;none&#x27;" in policy[1]
    assert "unsafe" not in policy[1]
    scripts = re.findall(r"<script>(.*?)</script>", written, re.S)
    for one in scripts:
        assert base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() in policy[1]
    assert len(scripts) == 3
    assert not re.search(r'(src|href)="(?!#)', written)
    assert not re.search(r"@import|url\((?!#)", written.replace("url(#${clip})", ""))
    assert " style=" not in written
    assert len(written.encode()) < 2_000_000


def test_every_number_of_the_headline_is_there(made: Content, written: str):
    for row in made.headline.to_dict("records"):
        scale = scale_of(row["unit"], [row["q50"], row["q10"], row["q90"]])
        assert scale.text(row["q50"]) in written or f">{scale.number(row['q50'])}<" in written
        assert f"{scale.number(row['q10'])} to {scale.number(row['q90'])}" in written


def test_the_method_is_told_in_full(written: str):
    for fact in METHOD:
        assert el("h3", fact.title) + el("p", fact.text) in written


def test_a_title_with_a_script_in_it_is_text(tmp_path: Path):
    months = pd.period_range("2021-01", periods=60, freq="M")
    rows = [f'"{HOSTILE.replace(chr(34), chr(34) * 2)}",{month},{100 + at % 12}' for at, month in enumerate(months)]
    data = tmp_path / "mine.csv"
    data.write_text("series,month,value\n" + "\n".join(rows) + "\n", encoding="utf-8")
    from forecasting import report

    request = workflow.Request(data=data, paths=200, model="seasonal_naive")
    gathered = report.gather(request, "seasonal_naive", news=True)
    assert gathered.news
    assert any("2 forecasts: " in line for line in gathered.news.told)  # how many were in the cache is no news
    made = html(gathered, request)
    assert HOSTILE not in made
    assert "&lt;/script&gt;&lt;img" in made
    assert len(re.findall(r"<script\b", made)) == 4  # three of the page, one block of data
    assert "What changed since the last forecast" in made


def test_titles_in_another_language_are_the_catalogues(
    tradecast: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(store.data_folder(), tmp_path / "data", ignore=shutil.ignore_patterns("backtests", "raw"))
    monkeypatch.setenv("TRADECAST_HOME", str(tmp_path))
    asked = (
        "report",
        SERIES[0],
        "--model",
        "seasonal_naive",
        "--paths",
        200,
        "--language",
        "ja",
        "--out",
        tmp_path / "ja.html",
    )
    code, _, said = tradecast(*asked)
    assert code == 2
    assert "title_ja" in said
    file = tmp_path / "data" / "catalogue.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.assign(title_ja=["対ロシア輸出額" if one == SERIES[0] else "" for one in table["id"]]).to_csv(
        file, index=False
    )
    code, _, said = tradecast(*asked)
    assert code == 0, said
    text = (tmp_path / "ja.html").read_text(encoding="utf-8")
    assert "The Oct–Dec 2026 forecast of 対ロシア輸出額" in text
    assert "Japan&#x27;s exports to Russia, value" not in text


def test_too_many_paths_are_thinned_and_the_page_says_so(made: Content, monkeypatch: pytest.MonkeyPatch):
    whole = live.payload(made, REQUEST)
    assert whole["paths"] == whole["of_paths"] == 200
    monkeypatch.setattr(live, "PATH_BYTES", 60_000)
    some = live.payload(made, REQUEST)
    assert 50 <= some["paths"] < 200
    assert f"carries {some['paths']} of the 200 futures" in html(made, REQUEST)


def test_the_command_writes_it_and_says_what_is_wrong_before_fitting(
    tradecast: Callable[..., tuple[int, str, str]], tmp_path: Path
):
    out = tmp_path / "one.html"
    code, _, said = tradecast(
        "report", SERIES[0], "--model", "seasonal_naive", "--paths", 200, "--no-news", "--out", out
    )
    assert code == 0, said
    text = out.read_text(encoding="utf-8")
    assert "No backtest was given" in text
    assert 'id="live"' not in text
    for wrong, words in (("one.pdf", "end the name in"), ("none/one.html", "does not exist")):
        code, _, said = tradecast("report", "--out", tmp_path / wrong)
        assert code == 2
        assert words in said
    code, _, said = tradecast("report", "--backtest", "nowhere", "--out", out)
    assert code == 2
    assert "nowhere" in said
