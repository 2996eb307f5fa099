"""What a notebook shows of the objects: the numbers, and no text from data that runs."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting import notebook, scenarios, workflow
from forecasting.panel import Panel
from forecasting.workflow import Dataset, Request
from tests.conftest import invented
from tests.test_plot_api import dataset_of, result_of, study_of

EVIL = "<script>alert('1')</script>\" onerror=\"x"
ALLOWED = {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "img"}


class Seen(HTMLParser):
    """The tags, attributes and texts of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    y = invented().y
    y.columns = ["s0", "s1", EVIL]
    return dataset_of(Panel(y))


@pytest.fixture(scope="module")
def outlook(dataset: Dataset) -> workflow.Outlook:
    return workflow.forecast(Request(model="seasonal_naive", paths=200, growth=True, cache=False), dataset=dataset)


@pytest.fixture(scope="module")
def study(dataset: Dataset) -> scenarios.Study:
    return study_of(dataset, EVIL)


def objects(dataset: Any, outlook: Any, study: Any) -> dict[str, Any]:
    result = result_of(("seasonal_naive", EVIL))
    return {
        "panel": dataset.panel, "dataset": dataset, "forecast": outlook.forecast, "outlook": outlook, "study": study,
        "result": result,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["panel", "dataset", "forecast", "outlook", "study", "result"])
def test_titles_are_shown_and_not_run(name: str, dataset: Any, outlook: Any, study: Any) -> None:
    one = objects(dataset, outlook, study)[name]
    html = one._repr_html_()
    seen = Seen(html)
    assert seen.open == []
    assert set(seen.tags) <= ALLOWED
    assert seen.attributes <= {"style", "alt", "src"}
    assert any(EVIL in text for text in seen.texts)
    assert one._repr_html_() == html
    assert len(html) < 800_000


def test_an_outlook_shows_its_totals_and_chart(outlook: Any) -> None:
    html = outlook._repr_html_()
    png = base64.b64decode(re.findall(r"base64,([^']+)'", html)[0])
    assert png.startswith(b"\x89PNG")
    cells = Seen(html).texts
    row = outlook.table[(outlook.table["kind"] == "quarter") & (outlook.table["series"] == "s0")].iloc[0]
    assert {"Exports s0", row["period"]} <= set(cells)
    assert not any("% on a year earlier" in one for one in cells)


def test_a_forecast_shows_quantiles_of_its_paths(outlook: Any) -> None:
    median = float(np.quantile(outlook.forecast.column("s1")[:, -1], 0.5))
    assert f"{median:,.0f}" in Seen(outlook.forecast._repr_html_()).texts


def test_a_study_shows_only_what_changes(study: Any) -> None:
    texts = Seen(study._repr_html_()).texts
    assert f"Exports {EVIL}" in texts
    assert "Exports s1" not in texts


def test_a_backtest_ranks_its_models() -> None:
    texts = Seen(result_of()._repr_html_()).texts
    assert texts.index("theta") < texts.index("seasonal_naive")


def test_long_tables_say_how_much_they_leave_out() -> None:
    seen = Seen(notebook.table(("a", "b"), [(at, at) for at in range(notebook.MOST_ROWS + 7)]))
    assert seen.tags.count("tr") == notebook.MOST_ROWS + 1
    assert "and 7 more" in seen.texts


@given(st.text(), st.text(), st.text())
def test_any_text_stays_text(title: str, cell: str, alt: str) -> None:
    seen = Seen(notebook.block(title, notebook.table((cell,), [(cell,)]), notebook.picture(b"x", alt), note=alt))
    assert set(seen.tags) <= ALLOWED
    assert seen.attributes <= {"style", "alt", "src"}
    assert seen.open == []
