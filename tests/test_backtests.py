"""Backtests: what is refused before fitting, what models may see, what is left on disk, and going on after a kill."""

from __future__ import annotations

import getpass
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from conftest import invented

from forecasting import backtest_chain, backtest_files, backtests, pipeline, workflow
from forecasting.backtest_folds import Data, Fold
from forecasting.backtest_truth import truth_of
from forecasting.backtests import prepare, run
from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError, ForecastingError, ModelError
from forecasting.experiments_file import Contender, Experiment, parse, read_experiment
from forecasting.forecast import QUANTILE_COLUMNS, QUANTILES
from forecasting.hierarchy import reconcile
from forecasting.models import MODELS, forecaster
from forecasting.models.seasonal_naive import SeasonalNaive
from forecasting.panel import Panel
from forecasting.prices import Pair, hold_prices, tie_prices
from forecasting.scores import crps_of_paths, pit_of_paths

PROJECT = Path(__file__).parent.parent
SHIPPED = sorted((PROJECT / "experiments" / "backtests").glob("*.toml"))
GOOD: dict[str, Any] = {
    "series": ["s0", "s1"],
    "horizon": 4,
    "paths": 100,
    "cutoffs": {"first": "2025-03", "step": 3, "count": 4},
    "forecasters": [{"model": "seasonal_naive"}, {"model": "theta"}],
}
CATALOGUE = Catalogue(
    (
        Series("s0", "zero", "units", core=True),
        Series("s1", "one", "units", core=True),
        Series("s2", "two", "units", parent="s1", core=True),
        Series("both", "sum", "units", formula="sum", terms=("s0", "s1"), core=True),
        Series("price", "ratio", "units/units", formula="ratio", terms=("s0", "s1")),
    )
)
GOODS = Catalogue(
    (
        *CATALOGUE.entries,
        Series("s3", "quantity of zero", "tonnes", core=True),
        Series("s3.price", "price of zero", "units/tonnes", formula="ratio", terms=("s0", "s3")),
    )
)


def experiment(**changed: Any) -> Experiment:
    """The good experiment with other keys; None takes one away."""
    keys = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    return parse(keys, "test.toml", text="# the file\n")


def figures(panel: Panel | None = None) -> Data:
    """Invented series that add up: the second holds the third."""
    y = (panel or invented()).y.copy()
    y["s1"] += y["s2"]
    return Data.latest(Panel(y), CATALOGUE, "invented figures")


def planted(panel: Panel, cutoff: str, size: float = 1e9) -> Panel:
    """The panel with an enormous signal in every month after a cutoff."""
    y = panel.y.copy()
    y.loc[pd.Period(cutoff, "M") + 1 :] += size
    return Panel(y)


# --- The file --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"horizn": 3}, "horizn is no key here (did you mean horizon?)"),
        ({"horizon": "soon"}, "horizon is 'soon': give months, 1 to 60"),
        ({"horizon": True}, "horizon is True: give a whole number"),
        ({"horizon": 0}, "from 1 to 60"),
        ({"horizon": 2.0}, "horizon is 2.0"),
        ({"series": []}, "series names no series"),
        ({"series": None}, "series names no series"),
        ({"series": [1]}, "series is [1]: write a list of texts"),
        ({"series": [""]}, "write a list of texts"),
        ({"cutoffs": None}, "cutoffs is missing"),
        ({"cutoffs": []}, "cutoffs is []"),
        ({"cutoffs": "2025-03"}, "cutoffs is '2025-03'"),
        ({"cutoffs": ["2025-3"]}, "write a month in quotes"),
        ({"cutoffs": ["2025-03", "2025-03"]}, "names 2025-03 twice"),
        ({"cutoffs": {"step": 3}}, "cutoffs 1, first is missing"),
        ({"cutoffs": {"first": "2025-03", "count": 2, "last": "2025-06"}}, "say the same thing twice"),
        ({"cutoffs": {"first": "2025-03", "last": "2025-01"}}, "lies before first"),
        ({"cutoffs": {"first": "2025-03", "stpe": 1}}, "stpe is no key here (did you mean step?)"),
        ({"cutoffs": {"first": 2025}}, "holds '2025'"),
        ({"forecasters": []}, "needs at least one block"),
        ({"forecasters": ["theta"]}, "needs at least one block"),
        ({"forecasters": [{"model": "thta"}]}, "(did you mean theta?)"),
        ({"forecasters": [{"label": "x"}]}, "forecasters 1, model is missing"),
        ({"forecasters": [{"model": "theta"}, {"model": "theta"}]}, "two called theta: give each a label"),
        ({"forecasters": [{"model": "theta", "label": "a/b"}]}, "label is 'a/b'"),
        ({"forecasters": [{"model": "ets", "max_month": 100}]}, "(did you mean max_months?)"),
        ({"forecasters": [{"model": "ets", "max_months": "100"}]}, "max_months is '100': give a whole number"),
        ({"forecasters": [{"model": "ets", "max_months": True}]}, "max_months is True"),
        ({"forecasters": [{"model": "ets", "trends": [1]}]}, "give a list of a text"),
        ({"forecasters": [{"model": "sarima", "order": [1, 1]}]}, "give a list of 3 whole numbers"),
        ({"forecasters": [{"model": "sarima", "breaks": "2022-03"}]}, "breaks is '2022-03': give a list"),
        ({"forecasters": [{"model": "sarima", "breaks": ["2022-3"]}]}, "a break is a month such as 2022-03"),
        ({"forecasters": [{"model": "boosting", "learning_rate": "fast"}]}, "give a number, such as"),
        ({"forecasters": [{"model": "ensemble", "members": ["prophet"]}]}, "No model is called 'prophet'"),
        ({"forecasters": [{"model": "ensemble", "members": ["ensemble"]}]}, "members other than itself"),
        ({"coverages": [85]}, "coverages is [85]: choose from 50, 80, 90, 95"),
        ({"coverages": [[80]]}, "choose from 50"),
        ({"sort_by": ["crsp"]}, "(did you mean crps?)"),
        ({"refit": "yearly"}, 'only "every" is there'),
        ({"panel": "newest"}, "panel is 'newest'"),
        ({"window": "rolling"}, 'write "expanding" or a number of months'),
        ({"window": 6}, "from 13 to 1200"),
        ({"calibrate": "yes"}, "write true or false"),
        ({"warm_up": 4}, "set calibrate = true"),
        ({"paths": 10}, "from 100 to 100000"),
        ({"seed": -1}, "seed is -1"),
        ({"name": "../away"}, "name is '../away'"),
        ({"kind": "year"}, "kind is 'year'"),
        ({"regimes": {"war": ["2022-02"]}}, "give [first, last]"),
        ({"regimes": {"a": ["2022-02", "2023-01"], "b": ["2022-06", ""]}}, "overlap"),
        ({"covariates": "/etc/passwd"}, "write it relative to the experiment file"),
        ({"covariates": "not-there.csv"}, "which is not there"),
    ],
)
def test_what_is_wrong_is_one_line_before_any_fitting(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as refused:
        experiment(**changed)
    line = str(refused.value)
    assert line.startswith("test.toml: ")
    assert said in line
    assert "\n" not in line


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(DataError, match="is not"):
        read_experiment(tmp_path / "x.toml")
    with pytest.raises(DataError, match="cannot be read"):
        read_experiment(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cutoffs": ["2026-08"]}, "leaves no published month to compare: the data end in 2026-08"),
        ({"cutoffs": {"first": "2026-07", "count": 3}}, "cutoff 2026-08 leaves no published month"),
        ({"cutoffs": {"first": "2027-01"}}, "cutoffs would begin in 2027-01"),
        ({"cutoffs": ["2010-01", "2025-01"]}, "lies before the data, which begin in 2020-09"),
        ({"cutoffs": ["2021-01", "2025-01"]}, "has the 13 months that seasonal_naive needs: begin in 2025-01"),
        ({"window": 13, "forecasters": [{"model": "sarima"}]}, "window is 13 months, but sarima needs 24"),
        ({"series": ["nothing*"]}, "No series matches 'nothing*'"),
    ],
)
def test_impossible_cutoffs_are_refused_before_any_fitting(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ForecastingError) as refused:
        prepare(experiment(**changed), figures())
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_cutoffs_by_count_by_last_by_list_and_to_the_end_of_the_data() -> None:
    end = pd.Period("2025-06", "M")

    def months(given: object) -> list[str]:
        return [str(one) for one in experiment(cutoffs=given).cutoffs[0].months(end)]

    assert months({"first": "2025-01", "step": 2, "count": 2}) == ["2025-01", "2025-03"]
    assert months({"first": "2025-01", "step": 2, "last": "2025-04"}) == ["2025-01", "2025-03"]
    assert months({"first": "2025-02", "step": 3}) == ["2025-02", "2025-05"]
    assert months(["2025-03", "2025-01"]) == ["2025-01", "2025-03"]


def test_settings_reach_the_forecaster_as_it_wants_them() -> None:
    blocks = [
        {"model": "sarima", "order": [1, 0, 1], "label": "fixed"},
        {"model": "boosting", "lags": [1, 12], "learning_rate": 1},
        {"model": "ensemble", "members": ["theta", "ets"]},
    ]
    fixed, boosting, pool = experiment(forecasters=blocks).contenders
    assert (fixed.label, fixed.forecaster.order) == ("fixed", (1, 0, 1))  # type: ignore[attr-defined]
    assert boosting.settings()["lags"] == [1, 12]
    assert isinstance(boosting.forecaster.learning_rate, float)  # type: ignore[attr-defined]
    assert [one.name for one in pool.parts()] == ["theta", "ets"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_experiments_can_run(path: Path) -> None:
    read = read_experiment(path)
    prepared = prepare(read, backtests.load(read))
    assert read.name == path.stem
    assert read.description
    assert {one.forecaster.name for one in read.contenders} == set(MODELS)
    assert len(prepared.scored) >= 40


# --- What a model may see --------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_no_model_profits_from_a_signal_planted_after_the_cutoff(model: str, tmp_path: Path) -> None:
    small = {"sarima": {"order": [1, 0, 0], "seasonal_order": [0, 0, 0]}, "boosting": {"n_trees": 5, "steps": 4}}
    pool = {"ensemble": {"members": ["theta", "ets"]}}
    asked = experiment(
        cutoffs=["2026-02"], forecasters=[{"model": model, **small.get(model, {}), **pool.get(model, {})}]
    )
    plain = run(prepare(asked, figures()), tmp_path / "plain").rows
    panel = planted(invented(), "2026-02")
    canary = run(prepare(asked, figures(panel)), tmp_path / "planted").rows
    said = ["mean", *QUANTILE_COLUMNS, "scale", "scale_sq"]
    pd.testing.assert_frame_equal(plain[said], canary[said], check_exact=True)
    assert (canary["actual"] > plain["actual"] + 1e8).all()


def test_nor_does_the_calibration_coupling_or_reconciliation(tmp_path: Path) -> None:
    cutoffs = {"first": "2025-06", "last": "2025-12"}
    asked = experiment(series=["both", "s0", "s2"], calibrate=True, warm_up=6, cutoffs=cutoffs)
    plain = run(prepare(asked, figures()), tmp_path / "plain").rows
    canary = run(prepare(asked, figures(planted(invented(), "2025-08"))), tmp_path / "planted").rows
    said = ["mean", *QUANTILE_COLUMNS, "scale"]
    before = plain["cutoff"] <= "2025-08"
    pd.testing.assert_frame_equal(plain.loc[before, said], canary.loc[before, said], check_exact=True)
    assert not np.allclose(plain.loc[~before, "q50"], canary.loc[~before, "q50"])


def test_held_covariates_hide_what_comes_after_the_cutoff() -> None:
    panel = invented()
    x = pd.DataFrame({"rate": np.arange(76.0)}, index=pd.period_range(panel.months[0], periods=76, freq="M"))
    data = replace(figures(), x=x)
    known, held = (prepare(replace(experiment(), hold_covariates=hold), data) for hold in (False, True))
    for open_, blind in zip(known.folds, held.folds, strict=True):
        assert open_.future["rate"].is_monotonic_increasing
        assert blind.future["rate"].nunique() == 1
        assert blind.future["rate"].iloc[0] == x["rate"][blind.cutoff]
    for part in known.parts:
        for job_panel, fold in zip(part.job.panels, known.folds, strict=True):
            assert job_panel.x.index[-1] == fold.cutoff
            assert job_panel.cutoff == fold.cutoff


def test_a_window_hides_older_months() -> None:
    whole, last = (prepare(experiment(window=window), figures()) for window in ("expanding", 30))
    assert {len(panel.y) for part in last.parts for panel in part.job.panels} == {30}
    assert {panel.months[0] for part in whole.parts for panel in part.job.panels} == {pd.Period("2020-09", "M")}
    # The measure of errors does not depend on it, so that experiments can be compared.
    for one, other in zip(whole.folds, last.folds, strict=True):
        pd.testing.assert_frame_equal(one.scale, other.scale)


# --- The table -------------------------------------------------------------------------------------------


def test_rows_say_what_the_model_said_and_what_came(tmp_path: Path) -> None:
    data = figures()
    rows = run(prepare(experiment(series=["both", "s0", "price"], horizon=5), data), tmp_path).rows
    assert set(rows["model"]) == {"seasonal_naive", "theta"}
    cutoff = pd.Period("2025-06", "M")
    seen = data.y.loc[:cutoff]
    fitted = SeasonalNaive().fit(Panel(seen[["s0"]]))
    paths = fitted.predict(pd.DataFrame(index=pd.period_range(cutoff + 1, cutoff + 5, freq="M")), 100, 0).column("s0")
    here = rows[(rows["model"] == "seasonal_naive") & (rows["series"] == "s0") & (rows["cutoff"] == "2025-06")]
    months = here[here["kind"] == "month"]
    assert list(months["period"]) == ["2025-07", "2025-08", "2025-09", "2025-10", "2025-11"]
    assert list(months["step"]) == [1, 2, 3, 4, 5]
    truth = data.y["s0"].loc["2025-07":"2025-11"].to_numpy()
    np.testing.assert_array_equal(months["actual"], truth)
    np.testing.assert_array_equal(months[list(QUANTILE_COLUMNS)], np.quantile(paths, QUANTILES, axis=0).T)
    np.testing.assert_allclose(months["crps"], crps_of_paths(paths, truth), rtol=1e-12)
    np.testing.assert_allclose(months["pit"], pit_of_paths(paths, truth), rtol=1e-12)
    change = seen["s0"].diff(12).dropna()
    np.testing.assert_allclose(months["scale"], change.abs().mean())
    np.testing.assert_allclose(months["scale_sq"], (change**2).mean())
    quarter = here[here["kind"] == "quarter"]
    assert list(quarter["period"]) == ["2025Q3"]
    np.testing.assert_allclose(quarter["actual"], truth[:3].sum())
    np.testing.assert_allclose(quarter["q50"], np.median(paths[:, :3].sum(axis=1)))


def test_truth_of_totals_and_prices() -> None:
    data = figures()
    truth = truth_of(data.y, CATALOGUE, ["both", "price", "s0"])
    quarter, year = truth["quarter"], truth["fiscal_year"]
    spring = data.y.loc["2026-01":"2026-03"].sum()
    assert quarter.loc["2026Q1", "both"] == pytest.approx(spring["s0"] + spring["s1"])
    # A quarter's price is its value over its quantity, not a mean of prices.
    assert quarter.loc["2026Q1", "price"] == pytest.approx(spring["s0"] / spring["s1"])
    assert year.loc["FY2025", "s0"] == pytest.approx(data.y["s0"].loc["2025-04":"2026-03"].sum())
    assert "2026Q3" not in quarter.dropna().index
    assert "FY2026" not in year.dropna().index


def test_the_chain_is_that_of_a_forecast(tmp_path: Path) -> None:
    """One fold by hand: the model's paths, calibrated on earlier cutoffs, coupled, tied to a price, reconciled."""
    data = replace(figures(invented(series=4)), catalogue=GOODS)
    cutoffs, theta = {"first": "2026-03", "count": 1}, [{"model": "theta"}]
    asked = experiment(series=["both", "s3.price"], calibrate=True, warm_up=9, forecasters=theta, cutoffs=cutoffs)
    rows = run(prepare(asked, data), tmp_path).rows
    fold = prepare(asked, data).scored[0]
    model, earlier = forecaster("theta"), []
    for back in range(9, -1, -1):
        cutoff = pd.Period("2026-03", "M") - back
        panel = Panel(fold.plan.learned.loc[:cutoff])
        earlier.append(model.fit(panel.select(fold.core)).predict(panel.future(cutoff + 4), 100, 0))
    *past, final = [one.select(fold.core) for one in earlier]
    # 71 months are a long history: every third earlier cutoff, as a live forecast takes them.
    ready, _ = pipeline.after_the_model(final, past[-3::-3], fold.plan.learned, 0)
    pairs = [Pair("s3.price", "s0", "s3")]
    done = hold_prices(reconcile(tie_prices(ready, pairs), fold.plan.core_tree), pairs)
    by_hand = {"both": done.column("both"), "s3.price": done.column("s0") / done.column("s3")}
    for series, paths in by_hand.items():
        said = rows[(rows["kind"] == "month") & (rows["series"] == series)][list(QUANTILE_COLUMNS)].to_numpy()
        np.testing.assert_allclose(said, np.quantile(paths, QUANTILES, axis=0).T, rtol=1e-9)


@pytest.mark.parametrize("calibrate", [False, True])
def test_a_price_of_a_quarter_is_no_sum_of_prices(calibrate: bool, tmp_path: Path) -> None:
    data = replace(figures(invented(series=4)), catalogue=GOODS)
    rows = run(prepare(experiment(series=["s3.price"], calibrate=calibrate), data), tmp_path).rows
    prices = data.y["s0"] / data.y["s3"]
    assert {"month", "quarter"} <= set(rows["kind"])
    assert rows[["q50", "actual", "mean"]].to_numpy().max() < 1.5 * prices.max()
    assert (rows["scale"] < prices.max()).all()


def test_a_quantity_that_is_part_of_a_sum_is_not_tied_to_its_value() -> None:
    data = replace(figures(invented(series=4)), catalogue=GOODS)
    fold = prepare(experiment(series=["price", "s3.price"], calibrate=True), data).folds[-1]
    assert fold.plan.pairs == (Pair("s3.price", "s0", "s3"),)
    assert "s3.price" in fold.core
    assert "price" not in fold.wanted


def test_earlier_cutoffs_are_as_many_and_as_far_apart_as_a_live_forecast_takes() -> None:
    panel = workflow.load().panel
    series = ("jp_world.exports.value", "jp_ru.exports.value")
    live = pipeline.calibration_origins(panel.until(pd.Period("2026-07", "M")), series, 13, 4)
    asked = experiment(
        series=list(series), calibrate=True, warm_up=40, cutoffs={"first": "2026-07", "count": 1},
        forecasters=[{"model": "seasonal_naive"}],
    )  # fmt: skip
    prepared = prepare(asked, backtests.load(asked))
    made = [_blank(fold) for fold in prepared.folds]
    past = list(backtest_chain.past(prepared.folds, made, len(made) - 1, series))
    for one in series:
        wanted = [cutoff for cutoff, of in live if one in of]
        assert sorted(made.cutoff[0] for made in past if one in made.series) == wanted


def _blank(fold: Fold) -> Any:
    from forecasting.forecast import Forecast

    months = pd.period_range(fold.cutoff + 1, periods=2, freq="M")
    shape = (2, 2, len(fold.wanted))
    return Forecast(np.ones(shape), months, fold.wanted, (fold.cutoff,) * len(fold.wanted), "blank")


def test_a_pool_shares_the_fits_of_its_members(tmp_path: Path) -> None:
    blocks = [{"model": "theta"}, {"model": "ets"}, {"model": "ensemble", "members": ["theta", "ets"]}]
    prepared = prepare(experiment(forecasters=blocks), figures())
    assert len(prepared.parts) == 4  # two models × two series
    alone = prepare(experiment(forecasters=blocks[2:]), figures())
    both, pool = (run(one, tmp_path / str(at)).rows for at, one in enumerate((prepared, alone)))
    said = ["series", "cutoff", "period", "mean", *QUANTILE_COLUMNS, "crps"]
    same = both[both["model"] == "ensemble"].reset_index(drop=True)
    pd.testing.assert_frame_equal(same[said], pool[said], check_exact=True)


# --- Failures --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moody:
    """Cannot stand one month; at another it divides by zero."""

    name: ClassVar[str] = "moody"
    min_months: ClassVar[int] = 13

    def fit(self, panel: Panel) -> Any:
        if str(panel.cutoff) == "2025-06" and "s0" in panel.series:
            raise ModelError("moody cannot stand June.")
        if str(panel.cutoff) == "2025-09":
            raise np.linalg.LinAlgError("singular matrix")
        return SeasonalNaive().fit(panel)


def test_a_model_that_fails_is_reported_and_judged_on_common_folds_only(tmp_path: Path) -> None:
    from forecasting.leaderboard import board

    asked = experiment()
    asked = replace(asked, contenders=(*asked.contenders, Contender("moody", Moody())))
    result = run(prepare(asked, figures()), tmp_path)
    failed = {(one["series"], one["cutoff"]): one["reason"] for one in result.about["failures"]}
    assert {one["model"] for one in result.about["failures"]} == {"moody"}
    assert failed == {
        ("s0", "2025-06"): "moody cannot stand June.",
        ("s0", "2025-09"): "moody: LinAlgError: singular matrix",
        ("s1", "2025-09"): "moody: LinAlgError: singular matrix",
    }
    counts = result.rows[result.rows["kind"] == "month"].groupby("model").size()
    assert counts["theta"] - counts["moody"] == 3 * 4
    of = board(result)
    assert of.table["cells"].nunique() == 1
    assert of.table["cells"].iloc[0] == counts["moody"]
    assert of.table.set_index("model")["failed"].to_dict() == {"theta": 0, "seasonal_naive": 0, "moody": 3}


def test_sums_with_a_failed_part_are_left_alone(tmp_path: Path) -> None:
    asked = experiment(series=["both", "s1"], calibrate=True, warm_up=3)
    asked = replace(asked, contenders=(Contender("moody", Moody()),))
    rows = run(prepare(asked, figures()), tmp_path).rows
    assert set(rows.loc[rows["cutoff"] == "2025-06", "series"]) == {"both", "s1"}
    assert "2025-09" not in set(rows["cutoff"])


def test_when_nothing_can_be_forecast_that_is_an_error(tmp_path: Path) -> None:
    asked = replace(experiment(cutoffs=["2025-09"]), contenders=(Contender("moody", Moody()),))
    with pytest.raises(DataError, match="no model made a forecast that can be compared; moody: LinAlgError"):
        run(prepare(asked, figures()), tmp_path)


# --- On disk ---------------------------------------------------------------------------------------------


def test_workers_and_order_change_no_byte(tmp_path: Path) -> None:
    asked = experiment(calibrate=True, warm_up=3)
    for workers in (1, 2):
        run(prepare(asked, figures()), tmp_path / str(workers), workers)
    turned = replace(asked, contenders=asked.contenders[::-1])
    run(prepare(turned, figures()), tmp_path / "turned")
    tables = {(tmp_path / one / "table.parquet").read_bytes() for one in ("1", "2", "turned")}
    assert len(tables) == 1


def test_finished_parts_are_used_and_damaged_ones_made_again(tmp_path: Path) -> None:
    prepared = prepare(experiment(), figures())
    first = run(prepared, tmp_path)
    table = (tmp_path / "table.parquet").read_bytes()
    parts = sorted((tmp_path / "parts").glob("*.arrays"))
    assert len(parts) == len(prepared.parts) == 4
    parts[0].write_bytes(parts[0].read_bytes()[:-20] + b"x" * 20)
    parts[1].unlink()
    again = run(prepare(experiment(), figures()), tmp_path)
    assert (first.about["resumed_parts"], again.about["resumed_parts"]) == (0, 2)
    assert (tmp_path / "table.parquet").read_bytes() == table
    assert run(prepared, tmp_path, fresh=True).about["resumed_parts"] == 0
    # Other settings take other parts; those of no use are cleared away.
    run(prepare(experiment(seed=1), figures()), tmp_path)
    assert len(list((tmp_path / "parts").glob("*"))) == 4
    assert (tmp_path / "table.parquet").read_bytes() != table


def test_about_says_how_the_table_was_made_and_nothing_of_the_machine(tmp_path: Path) -> None:
    result = run(prepare(experiment(regimes={"old": ["", "2025-12"], "new": ["2026-01", ""]}), figures()), tmp_path)
    text = (tmp_path / "about.json").read_text()
    about = json.loads(text)
    assert about["experiment"]["horizon"] == 4
    assert about["experiment_text"] == (tmp_path / "experiment.toml").read_text() == "# the file\n"
    assert about["models"]["theta"] == {"model": "theta", "settings": {}}
    assert about["cutoffs"] == ["2025-03", "2025-06", "2025-09", "2025-12"]
    assert (about["n_series"], about["paths"], about["seed"], about["failures"]) == (2, 100, 0, [])
    assert about["regimes"] == {"old": [None, "2025-12"], "new": ["2026-01", None]}
    assert about["data"]["vintage"] == "2026-08"
    assert len(about["data"]["digest"]) == 64
    assert set(about["versions"]) == {"python", "tradecast", *backtests.PACKAGES}
    assert about["fits"] == {"seasonal_naive": 8, "theta": 8}
    assert all(about["cpu_seconds"][one] > 0 for one in about["fits"])
    assert about["git"] is None or set(about["git"]) == {"commit", "dirty"}
    for secret in (str(tmp_path), str(PROJECT), str(Path.home()), socket.gethostname(), os.sep + "tmp"):
        assert secret not in text
    assert f'"{getpass.getuser()}"' not in text
    assert (result.rows["fit_seconds"] > 0).all()


def test_the_table_is_tidy_and_in_order(tmp_path: Path) -> None:
    run(prepare(experiment(horizon=14), figures()), tmp_path)
    table = pd.read_parquet(tmp_path / "table.parquet")
    assert tuple(table.columns) == backtest_files.TABLE_COLUMNS
    assert set(table["kind"]) == {"month", "quarter", "fiscal_year"}
    assert not table.isna().any().any()
    pd.testing.assert_frame_equal(table, backtest_files.in_order(table.sample(frac=1.0, random_state=0)))
    assert not table.duplicated(["model", "series", "cutoff", "kind", "period"]).any()


def test_pieces_of_two_runs_are_refused(tmp_path: Path) -> None:
    for seed, name in ((0, "a"), (1, "b")):
        run(prepare(experiment(seed=seed), figures()), tmp_path / name)
    (tmp_path / "a" / "table.parquet").write_bytes((tmp_path / "b" / "table.parquet").read_bytes())
    with pytest.raises(DataError, match=r"is not what about\.json describes"):
        backtest_files.read(tmp_path / "a")
    with pytest.raises(DataError, match="holds no finished backtest"):
        backtest_files.read(tmp_path)


def test_a_folder_that_cannot_be_written_is_said_before_fitting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        run(prepare(experiment(), figures()), tmp_path / "file" / "inside")


def test_a_run_killed_at_any_moment_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "kill.toml").write_text(
        'series = ["jp_world.exports.value", "jp_world.imports.*.value", "jp_ru.exports.value"]\n'
        'horizon = 4\npaths = 200\ncutoffs = { first = "2025-02", step = 3 }\n'
        '[[forecasters]]\nmodel = "ets"\n[[forecasters]]\nmodel = "seasonal_naive"\n'
    )
    undisturbed = _start(tmp_path, "whole")
    assert undisturbed.wait(240) == 0
    out = tmp_path / "killed"
    victim = _start(tmp_path, out.name)
    while victim.poll() is None and not list(out.glob("parts/*.arrays")):
        time.sleep(0.01)
    time.sleep(random.random() * 0.4)
    victim.kill()
    victim.wait()
    kept = len(list(out.glob("parts/*.arrays")))
    assert kept > 0
    assert _is_over(victim.pid)
    assert _start(tmp_path, out.name).wait(240) == 0
    assert (out / "table.parquet").read_bytes() == (tmp_path / "whole" / "table.parquet").read_bytes()
    assert json.loads((out / "about.json").read_text())["resumed_parts"] >= kept


def _is_over(group: int) -> bool:
    """Workers of a killed run leave as well; what they were at is all they finish."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return False


def _start(folder: Path, out: str) -> subprocess.Popen[bytes]:
    """`tradecast backtest` in a process group of its own."""
    program = "from forecasting.cli import main; main()"
    words = ["backtest", str(folder / "kill.toml"), "--out", str(folder / out), "--workers", "2", "--no-track"]
    surroundings: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=PROJECT,
        env=surroundings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
