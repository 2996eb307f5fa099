"""The charts that notebooks and commands draw: figures of their own, the right series, the same bytes every time."""

from __future__ import annotations

import inspect
import json
import tomllib
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from forecasting import plot, scenarios, workflow
from forecasting.backtest_files import Result
from forecasting.catalogue import Catalogue, Series
from forecasting.errors import CatalogueError, DataError
from forecasting.forecast import QUANTILE_COLUMNS, QUANTILES
from forecasting.panel import Panel
from forecasting.scenario_file import parse
from forecasting.workflow import Dataset, Request
from tests.conftest import invented

HALVED = """
name = "halved"
[[assumption]]
target = "s0"
kind = "scale"
size = "-50 %"
start = "2026-10"
source = "a guess"
"""


def dataset_of(panel: Panel) -> Dataset:
    """Invented figures of the user's own."""
    rows = panel.y.stack().rename("value").rename_axis(["month", "series"]).reset_index()
    rows = rows.assign(unit="mn_jpy", stage="provisional", std_error=np.nan, source="mine.csv")
    catalogue = Catalogue(tuple(Series(one, f"Exports {one}", "mn_jpy") for one in panel.series))
    return Dataset(rows, panel, catalogue, "mine.csv", embedded=False)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return dataset_of(invented())


@pytest.fixture(scope="module")
def outlook(dataset: Dataset) -> workflow.Outlook:
    return workflow.forecast(Request(model="seasonal_naive", paths=200, growth=True, cache=False), dataset=dataset)


@pytest.fixture(scope="module")
def study(dataset: Dataset) -> scenarios.Study:
    return study_of(dataset)


def study_of(dataset: Dataset, target: str = "s0") -> scenarios.Study:
    given = tomllib.loads(HALVED)
    given["assumption"][0]["target"] = target
    one = parse(given, "test", {}, HALVED)
    request = Request(model="seasonal_naive", paths=200, cache=False)
    made = scenarios.worlds([one], request, "seasonal_naive", dataset=dataset)
    return scenarios.study(made)


def result_of(models: tuple[str, ...] = ("seasonal_naive", "theta"), folder: Path = Path()) -> Result:
    """An invented backtest of two series from twelve cutoffs, three steps ahead."""
    rng = np.random.default_rng(1)
    spread = np.sqrt(2) * np.array([-1.96, -1.64, -1.28, -0.67, 0, 0.67, 1.28, 1.64, 1.96])
    rows = []
    for cutoff in pd.period_range("2024-01", periods=12, freq="2M").asfreq("M"):
        for series in ("s0", "s1"):
            for step in (1, 2, 3):
                actual = 100 + rng.normal()
                for at, model in enumerate(models):
                    width, middle = (2.0 - at) * step**0.5, 100 + (1 - at) * rng.normal()
                    rows.append(
                        {
                            "experiment": "test", "model": model, "series": series, "cutoff": str(cutoff),
                            "period": str(cutoff + step), "kind": "month", "step": step, "observed_months": 0,
                            "mean": middle, **dict(zip(QUANTILE_COLUMNS, middle + width * spread, strict=True)),
                            "crps": abs(actual - middle) + 0.1, "pit": rng.uniform(), "actual": actual,
                            "scale": 2.0, "scale_sq": 5.0, "fit_seconds": 0.01,
                        }
                    )  # fmt: skip
    about = {
        "experiment": {"name": "test"}, "kind": "month", "failures": [], "sort_by": ["skill"], "regimes": {},
        "series": ["s0", "s1"], "models": {one: {"model": one} for one in models}, "calibrate": False,
        "data": {"vintage": "abc"},
    }  # fmt: skip
    return Result(folder, pd.DataFrame(rows), pd.DataFrame(), about)


def drawn(what: str, outlook: Any, study: Any, dataset: Any) -> Figure:
    return {
        "fan": lambda: plot.fan(outlook),
        "scenarios": lambda: plot.scenarios(study),
        "history": lambda: plot.history(dataset, "s1"),
        "skill": lambda: plot.skill(result_of()),
        "calibration": lambda: plot.calibration(result_of()),
        "pit": lambda: plot.pit(result_of()),
    }[what]()


CHARTS = ("calibration", "fan", "history", "pit", "scenarios", "skill")


def test_all_is_told_and_documented() -> None:
    assert set(plot.__all__) == {*CHARTS, "save", "image"}
    local = {name for name, one in vars(plot).items() if inspect.isfunction(one) and one.__module__ == plot.__name__}
    assert {one for one in local if not one.startswith("_")} <= set(plot.__all__)
    for name in plot.__all__:
        assert inspect.getdoc(getattr(plot, name)), name


@pytest.mark.parametrize("what", CHARTS)
def test_figures_touch_no_state_and_save_the_same_bytes(
    what: str, outlook: Any, study: Any, dataset: Any, tmp_path: Path
) -> None:
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        figure = drawn(what, outlook, study, dataset)
        assert isinstance(figure, Figure)
        plot.save(figure, tmp_path / name)
    assert plt.get_fignums() == []
    assert (dict(matplotlib.rcParams), matplotlib.get_backend()) == (before, backend)
    for form, opening in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        one, two = ((tmp_path / f"{name}.{form}").read_bytes() for name in "ab")
        assert one == two
        assert one.startswith(opening)
    # A figure may be saved twice, and as text that someone wrote.
    plot.save(figure, str(tmp_path / "c.svg"))
    assert (tmp_path / "c.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def titles(figure: Figure) -> str:
    return " ".join(one.get_text() for axes in figure.axes for one in axes.texts)


def test_series_are_chosen_by_id_and_pattern(outlook: Any, study: Any) -> None:
    assert len(plot.fan(outlook).axes) == 3
    assert "Exports s1" in titles(plot.fan(outlook, "s1"))
    assert "Exports s0" not in titles(plot.fan(outlook, "s1"))
    assert len(plot.fan(outlook, "s[12]").axes) == 2
    assert "Exports s0" in titles(plot.scenarios(study, "s0"))
    with pytest.raises(CatalogueError, match="Nearest: s1"):
        plot.fan(outlook, "s11")


def test_what_was_not_forecast_is_not_drawn(dataset: Dataset) -> None:
    request = Request(series=("s0",), model="seasonal_naive", paths=200, cache=False)
    one = workflow.forecast(request, dataset=dataset)
    with pytest.raises(DataError, match="s2 is not among what was forecast: choose from s0"):
        plot.fan(one, "s2")
    with pytest.raises(DataError, match="matches 3 series"):
        plot.history(dataset, "s*")


def test_the_fan_shows_the_table(outlook: Any) -> None:
    axes = plot.fan(outlook, "s0").axes[0]
    rows = outlook.table[(outlook.table["series"] == "s0") & (outlook.table["kind"] == "month")]
    rows = rows[rows["unit"] != "pct_yoy"]
    lines = [line.get_ydata() for line in axes.lines]
    assert any(len(one) == len(rows) + 1 and np.allclose(np.ptp(one[1:]) / np.mean(one[1:]),
               np.ptp(rows["q50"]) / rows["q50"].mean()) for one in lines)  # fmt: skip
    assert QUANTILES[4] == 0.5


def test_models_are_drawn_in_the_order_of_the_leaderboard() -> None:
    result = result_of()
    assert [one.get_title(loc="left") for one in plot.calibration(result).axes] == ["theta", "seasonal_naive"]
    assert [one.get_title(loc="left") for one in plot.pit(result, ["theta"]).axes] == ["theta"]
    assert len(plot.skill(result, ["theta"]).axes[0].texts) == 1
    with pytest.raises(DataError, match="has no model 'thita': choose from theta, seasonal_naive"):
        plot.skill(result, ["thita"])
    with pytest.raises(DataError, match="no whole quarters ahead"):
        plot.pit(result, kind="quarter")


def test_without_a_seasonal_naive_the_score_is_drawn() -> None:
    with_base, without = plot.skill(result_of(), ["theta"]), plot.skill(result_of(("theta", "naive")), ["theta"])
    first, second = (one.axes[0].lines[0].get_ydata() for one in (with_base, without))
    assert not np.allclose(first, second)
    assert len(with_base.axes[0].lines) == len(without.axes[0].lines) + 1  # the line at zero


def test_files_that_cannot_be_written_are_refused(outlook: Any, tmp_path: Path) -> None:
    figure = plot.fan(outlook, "s0")
    with pytest.raises(DataError, match="no known ending"):
        plot.save(figure, tmp_path / "a.pdf")
    with pytest.raises(DataError, match="make it first"):
        plot.save(figure, tmp_path / "missing" / "a.svg")
    assert not list(tmp_path.iterdir())


def test_calibration_says_what_the_rows_say() -> None:
    """The dots are shares of outcomes inside the interval, counted here by hand."""
    result = result_of()
    rows = result.rows[(result.rows["model"] == "theta") & (result.rows["step"] == 2)]
    inside = ((rows["q10"] <= rows["actual"]) & (rows["actual"] <= rows["q90"])).groupby(rows["series"]).mean().mean()
    axes = next(one for one in plot.calibration(result).axes if one.get_title(loc="left") == "theta")
    dots = [line.get_ydata() for line in axes.lines if line.get_marker() == "o"]
    assert dots[0][1] == pytest.approx(100 * inside)
    json.dumps(dots[0].tolist(), allow_nan=False)
