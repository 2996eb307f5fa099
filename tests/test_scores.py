"""Every score has a slow oracle or a law; coverage bounds hold what they say on correlated, overlapping forecasts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from forecasting.errors import DataError
from forecasting.forecast import COVERAGES, QUANTILE_COLUMNS, QUANTILES
from forecasting.scores import (
    REGIMES,
    ROW_COLUMNS,
    SCALED_LOSSES,
    SCORES,
    cell_scores,
    clopper_pearson,
    common_folds,
    coverage_table,
    crps_of_paths,
    independent_origins,
    interval_score,
    last_months,
    pit_of_paths,
    pit_table,
    quantile_loss,
    score_table,
    seasonal_scale,
    skill,
    smape,
    with_regime,
)

VALUES = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)
NORMAL = stats.norm.ppf(QUANTILES)


def rows_of(errors: np.ndarray, spread: float = 1.0, model: str = "m", first: str = "2015-01", every: int = 1):
    """Monthly rows from actuals errors (cutoffs × steps × series); the forecast is normal around 0."""
    made = []
    start = pd.Period(first, "M")
    for c, h, n in np.ndindex(errors.shape):
        cutoff = start + c * every
        row = {"experiment": "e", "model": model, "series": f"s{n}", "cutoff": str(cutoff), "kind": "month"}
        row |= {"period": str(cutoff + h + 1), "step": h + 1, "observed_months": 0, "mean": 0.0}
        row |= dict(zip(QUANTILE_COLUMNS, spread * NORMAL, strict=True))
        made.append(row | {"actual": errors[c, h, n]})
    rows = pd.DataFrame(made)
    z = rows["actual"] / spread
    crps = spread * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    return rows.assign(crps=crps, pit=stats.norm.cdf(z), scale=1.0, scale_sq=1.0, fit_seconds=0.1)


def several(models: Mapping[str, float], shape: tuple[int, int, int] = (20, 3, 4), seed: int = 0) -> pd.DataFrame:
    """Rows of models that differ in their spread, on the same actuals."""
    errors = np.random.default_rng(seed).normal(size=shape)
    return pd.concat([rows_of(errors, spread, model) for model, spread in models.items()], ignore_index=True)


# CRPS and PIT


@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=VALUES), st.data())
def test_crps_is_the_mean_over_all_pairs(paths: np.ndarray, data: st.DataObject) -> None:
    actual = data.draw(arrays(float, paths.shape[1], elements=VALUES))
    count = len(paths)
    pairs = np.abs(paths[:, None] - paths[None]).sum(axis=(0, 1)) / max(count * (count - 1), 1)
    slow = np.abs(paths - actual).mean(axis=0) - 0.5 * pairs
    fast = crps_of_paths(paths, actual)
    assert np.allclose(fast, slow, rtol=1e-9, atol=1e-9 * (1 + np.abs(paths).max() + np.abs(actual).max()))
    assert (fast >= 0).all()


@given(VALUES, VALUES, st.integers(1, 50))
def test_crps_of_a_point_mass_is_its_absolute_error(point: float, actual: float, count: int) -> None:
    assert crps_of_paths(np.full((count, 1), actual), np.array([actual]))[0] == 0.0
    assert crps_of_paths(np.full((count, 1), point), np.array([actual]))[0] == pytest.approx(abs(point - actual))


def test_scores_agree_with_scoringrules() -> None:
    library = pytest.importorskip("scoringrules")
    rng = np.random.default_rng(0)
    paths, actual = rng.gamma(2.0, size=(200, 3, 5)), rng.gamma(2.0, size=(3, 5))
    expected = library.crps_ensemble(actual, np.moveaxis(paths, 0, -1), estimator="fair", backend="numpy")
    assert np.allclose(crps_of_paths(paths, actual), expected)
    low, high = np.quantile(paths, [0.1, 0.9], axis=0)
    expected = library.interval_score(actual, low, high, 0.2, backend="numpy")
    assert np.allclose(interval_score(low, high, actual, 80), expected)
    quantiles = np.moveaxis(np.quantile(paths, QUANTILES, axis=0), 0, -1)
    expected = library.quantile_score(actual[..., None], quantiles, np.array(QUANTILES), backend="numpy")
    assert np.allclose(quantile_loss(quantiles, actual), 2 * expected.mean(axis=-1))


def test_crps_of_many_normal_paths_is_the_formula_whatever_their_number() -> None:
    """Fair: ten paths score on average what a thousand do."""
    rng = np.random.default_rng(1)
    exact = 0.7 * (2 * stats.norm.cdf(0.7) - 1) + 2 * stats.norm.pdf(0.7) - 1 / np.sqrt(np.pi)
    few = crps_of_paths(rng.normal(size=(10, 40_000)), np.full(40_000, 0.7))
    assert few.mean() == pytest.approx(exact, abs=4 * few.std() / 200)


def test_crps_of_a_cell_that_has_not_come_is_nan() -> None:
    assert np.isnan(crps_of_paths(np.zeros((5, 1)), np.array([np.nan]))[0])
    assert np.isnan(pit_of_paths(np.zeros((5, 1)), np.array([np.nan]))[0])


def test_pit_counts_ties_half() -> None:
    assert pit_of_paths(np.array([[1.0], [2.0], [2.0], [3.0]]), np.array([2.0]))[0] == 0.5
    assert pit_of_paths(np.array([[0.0], [0.0]]), np.array([0.0]))[0] == 0.5
    assert pit_of_paths(np.array([[1.0], [2.0]]), np.array([9.0]))[0] == 1.0


def judged(sigma: float, shift: float, truth: np.ndarray) -> dict[str, float]:
    """Mean scores of the forecast N(shift, sigma²)."""
    quantiles = shift + sigma * NORMAL
    z = (truth - shift) / sigma
    crps = sigma * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    scores = {"crps": crps.mean(), "quantiles": quantile_loss(np.tile(quantiles, (len(truth), 1)), truth).mean()}
    for coverage, names in COVERAGES.items():
        low, high = (quantiles[QUANTILE_COLUMNS.index(name)] for name in names)
        scores[f"is{coverage}"] = interval_score(low, high, truth, coverage).mean()
    return scores


@settings(max_examples=30, deadline=None)
@given(st.floats(0.3, 3.0), st.floats(-1.0, 1.0))
def test_the_true_distribution_scores_best(sigma: float, shift: float) -> None:
    truth = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)  # a sample without luck
    right, wrong = judged(1.0, 0.0, truth), judged(sigma, shift, truth)
    assert all(right[one] <= wrong[one] + 1e-3 for one in right)


def test_the_true_paths_score_best_on_a_sample() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(size=4000)
    paths = rng.normal(size=(200, 4000))
    right = crps_of_paths(paths, truth).mean()
    assert all(right < crps_of_paths(a + b * paths, truth).mean() for a, b in ((0.3, 1), (0, 0.6), (0, 1.6), (-0.3, 1)))


# Points, quantiles, scales


def test_interval_score_by_hand() -> None:
    low, high = np.array([1.0, 1.0, 1.0]), np.array([3.0, 3.0, 3.0])
    assert interval_score(low, high, np.array([2.0, 0.5, 4.0]), 80) == pytest.approx([2.0, 7.0, 12.0])


def test_smape_by_hand() -> None:
    assert smape(np.array([1.0, 0.0, 5.0, 0.0]), np.array([3.0, 0.0, 0.0, 2.0])) == pytest.approx([100, 0, 200, 200])


def test_quantile_loss_by_hand() -> None:
    slow = np.mean([2 * (q * (4.0 - f) if f < 4.0 else (1 - q) * (f - 4.0)) for q, f in zip(QUANTILES, range(9))])  # noqa: B905
    assert quantile_loss(np.arange(9.0)[None], np.array([4.0]))[0] == pytest.approx(slow)


def test_seasonal_scale_against_a_loop() -> None:
    history = np.random.default_rng(0).normal(size=(40, 2))
    history[7, 1] = np.nan
    for months in (1, 3, 12):
        scale, scale_sq = seasonal_scale(history, months)
        for n in range(2):
            sums = [history[t - months + 1 : t + 1, n].sum() for t in range(months - 1, 40)]
            change = np.array([b - a for a, b in zip(sums, sums[12:], strict=False) if not np.isnan(a + b)])
            assert scale[n] == pytest.approx(np.abs(change).mean())
            assert scale_sq[n] == pytest.approx((change**2).mean())
    assert np.isnan(seasonal_scale(history[:12])).all()
    assert seasonal_scale(np.ones((30, 1)))[0][0] == 0.0


# The table


def test_score_table_averages_within_series_first() -> None:
    rows = pd.concat([rows_of(np.full((10, 6, 1), 1.0)), rows_of(np.full((10, 1, 1), 3.0)).assign(series="short")])
    table = score_table(rows)
    assert table["mae"].tolist() == [2.0]
    assert table[["series_count", "cutoffs", "cells"]].to_numpy().tolist() == [[2, 10, 70]]


def test_score_table_against_a_loop() -> None:
    rows = several({"m": 1.0})
    rows["scale"] = rows["series"].str[1:].astype(int) + 1.0
    rows["scale_sq"] = rows["scale"] ** 2 * 1.5
    expected: dict[str, list[float]] = {"mase": [], "rmsse": [], "wql": [], "bias_percent": [], "crps_scaled": []}
    for _, one in rows.groupby("series"):
        loss = sum(
            2 * max(q * (a - f), (q - 1) * (a - f)) / 9
            for q, name in zip(QUANTILES, QUANTILE_COLUMNS, strict=True)
            for a, f in zip(one["actual"], one[name], strict=True)
        )
        expected["mase"].append((one["actual"].abs() / one["scale"]).mean())
        expected["rmsse"].append(np.sqrt((one["actual"] ** 2 / one["scale_sq"]).mean()))
        expected["wql"].append(loss / one["actual"].abs().sum())
        expected["bias_percent"].append(-100 * one["actual"].sum() / one["actual"].abs().sum())
        expected["crps_scaled"].append((one["crps"] / one["scale"]).mean())
    table = score_table(rows).iloc[0]
    assert {one: table[one] for one in expected} == pytest.approx({k: np.mean(v) for k, v in expected.items()})


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_rows(random) -> None:
    rows = several({"a": 1.0, "b": 2.0}, (5, 2, 3))
    order = list(range(len(rows)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(score_table(rows), score_table(rows.iloc[order]), check_exact=True)
    pd.testing.assert_frame_equal(coverage_table(rows), coverage_table(rows.iloc[order]), check_exact=True)


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-3, 1e6))
def test_scaled_scores_have_no_unit(unit: float) -> None:
    rows = several({"a": 1.0}, (5, 2, 3))
    columns = ["mean", *QUANTILE_COLUMNS, "crps", "actual", "scale"]
    other = rows.assign(**{one: rows[one] * unit for one in columns}, scale_sq=rows["scale_sq"] * unit**2)
    free = [*SCALED_LOSSES, "rmsse", "wql", "bias_percent", "smape", "cover80"]
    here, there = score_table(rows).iloc[0], score_table(other).iloc[0]
    assert [there[one] for one in free] == pytest.approx([here[one] for one in free])
    assert there["mae"] == pytest.approx(unit * here["mae"])


def test_only_cells_that_every_model_forecast_count() -> None:
    rows = several({"a": 1.0, "b": 1.0}, (6, 2, 2))
    failed = (rows["model"] == "b") & (rows["cutoff"] == "2015-02")
    rows.loc[failed & (rows["step"] == 1), list(QUANTILE_COLUMNS)] = np.nan
    rows = rows[~(failed & (rows["step"] == 2))]
    common = common_folds(rows)
    assert "2015-02" not in set(common.rows["cutoff"])
    assert common.dropped.to_dict("list") == {
        "model": ["a", "b"], "kind": ["month", "month"], "forecasts": [24, 20], "common": [20, 20],
        "dropped": [4, 0], "missing": [0, 4],
    }  # fmt: skip
    pd.testing.assert_frame_equal(score_table(common.rows), score_table(rows))


def test_a_model_without_any_forecast_of_a_kind_empties_nothing() -> None:
    months = several({"a": 1.0, "b": 1.0}, (3, 1, 2))
    years = several({"a": 1.0}, (3, 1, 2)).assign(kind="fiscal_year", period="FY2015")
    broken = several({"c": 1.0}, (3, 1, 2)).assign(q50=np.nan)
    common = common_folds(pd.concat([months, years, broken]))
    assert common.rows.groupby(["model", "kind"]).size().tolist() == [6, 6, 6]
    assert common.dropped.query("model == 'c'")[["forecasts", "missing"]].to_numpy().tolist() == [[0, 6]]


def test_what_has_not_come_yet_is_not_scored_and_nothing_gives_an_empty_table() -> None:
    rows = several({"a": 1.0}, (3, 1, 2)).assign(actual=np.nan)
    assert list(score_table(rows).columns[:3]) == ["model", "kind", "series_count"]
    assert score_table(rows).empty
    assert coverage_table(rows).empty
    assert pit_table(rows).empty
    assert score_table(rows.iloc[:0]).empty


def test_a_constant_series_is_left_out_of_scaled_scores_and_counted() -> None:
    rows = several({"a": 1.0}, (4, 2, 2))
    rows.loc[rows["series"] == "s1", ["scale", "scale_sq"]] = 0.0
    table = score_table(rows).iloc[0]
    alone = score_table(rows[rows["series"] == "s0"]).iloc[0]
    assert table["no_scale"] == 8
    assert table["mase"] == alone["mase"]
    assert table["mae"] != alone["mae"]


def test_perfect_forecasts_lose_nothing() -> None:
    rows = rows_of(np.zeros((4, 2, 2)), spread=0.0).assign(crps=0.0, pit=0.5)
    table = skill(score_table(rows), base="m").iloc[0]
    assert table[["mae", "smape", "mase", "rmsse", "crps", "sql", "is80", "msis95"]].tolist() == [0.0] * 8
    assert table["cover50"] == 1.0
    assert np.isnan(table["wql"])  # nothing was traded: no size to divide by
    assert np.isnan(table["skill"])


@pytest.mark.parametrize("by", [["model"], ["model", "series"], ["step", "model"], ["model", "cutoff", "kind"]])
def test_score_table_has_its_keys_then_its_scores(by: list[str]) -> None:
    table = score_table(several({"a": 1.0, "b": 2.0}), by)
    keys = [*by, *([] if "kind" in by else ["kind"])]
    assert list(table.columns) == [*keys, "series_count", "cutoffs", "cells", "no_scale", *SCORES]
    assert not table.duplicated(keys).any()


def test_kinds_are_never_averaged_together() -> None:
    rows = several({"a": 1.0}, (3, 3, 2))
    both = pd.concat([rows, rows[rows["step"] == 3].assign(kind="quarter", period="2015Q4", actual=50.0)])
    assert score_table(both)["kind"].tolist() == ["month", "quarter"]
    assert score_table(both)["mae"].iloc[0] == score_table(rows)["mae"].iloc[0]


def test_rows_that_cannot_be_scored_say_why() -> None:
    rows = several({"a": 1.0}, (3, 1, 1))
    with pytest.raises(DataError, match="needs q50"):
        score_table(rows.drop(columns="q50"))
    with pytest.raises(DataError, match="two forecasts of s0 for 2015-02"):
        score_table(pd.concat([rows, rows]))
    with pytest.raises(DataError, match=r"regime \(with_regime adds it\)"):
        score_table(rows, by=["model", "regime"])
    assert set(ROW_COLUMNS) <= set(cell_scores(rows).columns)


# Skill


def test_skill_is_the_share_of_the_loss_that_is_saved() -> None:
    rows = several({"seasonal_naive": 3.0, "good": 1.0})
    for by in (["model"], ["model", "step"], ["model", "series"]):
        table = skill(score_table(rows, by))
        base = table[table["model"] == "seasonal_naive"]
        good = table[table["model"] == "good"]
        assert (base["skill"] == 0).all()
        expected = 1 - good["crps_scaled"].to_numpy() / base["crps_scaled"].to_numpy()
        assert good["skill"].to_numpy() == pytest.approx(expected)
        assert (good["skill"] > 0).all()
        assert good["skill_mase"].to_numpy() == pytest.approx(0)  # the same median


def test_skill_needs_its_base() -> None:
    with pytest.raises(DataError, match="against naive, which is not among a: add"):
        skill(score_table(several({"a": 1.0})), base="naive")


# Coverage


def test_clopper_pearson_is_scipys() -> None:
    for hits in (0, 3, 10):
        exact = stats.binomtest(hits, 10).proportion_ci(0.95, "exact")
        assert clopper_pearson(hits / 10, 10) == pytest.approx((exact.low, exact.high))


def test_origins_that_do_not_share_a_month() -> None:
    assert independent_origins(np.arange(40), 6) == 7
    assert independent_origins(np.arange(0, 40, 3), 6) == 7
    assert independent_origins(np.array([5, 5, 5]), 1) == 1


def overlapping(rng: np.random.Generator, cutoffs: int, steps: int, series: int, rho: float, every: int) -> np.ndarray:
    """Errors of the best forecast of random walks that move together: each standard normal, correlated throughout."""
    shocks = np.sqrt(rho) * rng.normal(size=(cutoffs * every + steps, 1))
    shocks = shocks + np.sqrt(1 - rho) * rng.normal(size=(len(shocks), series))
    level = np.vstack([np.zeros(series), np.cumsum(shocks, axis=0)])
    at = every * np.arange(cutoffs)
    return np.stack([(level[at + h] - level[at]) / np.sqrt(h) for h in range(1, steps + 1)], axis=1)


@pytest.mark.parametrize(
    ("cutoffs", "steps", "series", "rho", "every", "spread"),
    [(40, 1, 6, 0.5, 1, 1.0), (40, 6, 6, 0.5, 1, 1.0), (13, 3, 6, 0.5, 3, 0.7), (24, 6, 4, 0.9, 1, 1.0)],
)
def test_coverage_bounds_hold_the_truth(cutoffs, steps, series, rho, every, spread) -> None:
    rng = np.random.default_rng(3)
    template = rows_of(np.zeros((cutoffs, steps, series)), spread, every=every)
    held = dict.fromkeys(COVERAGES, 0)
    worlds = 100
    for _ in range(worlds):
        errors = overlapping(rng, cutoffs, steps, series, rho, every)
        table = coverage_table(template.assign(actual=errors.ravel()))
        for row in table.itertuples():
            truth = 2 * stats.norm.cdf(spread * stats.norm.ppf(0.5 + row.coverage / 200)) - 1
            held[row.coverage] += row.low <= truth <= row.high
    # 93 % less what 100 worlds may miss by luck: over four coverages and, below, each alone
    assert sum(held.values()) >= 0.93 * 4 * worlds
    assert min(held.values()) >= 0.90 * worlds


def test_effective_count_sees_series_that_move_together() -> None:
    rng = np.random.default_rng(4)
    apart = coverage_table(rows_of(overlapping(rng, 60, 1, 10, 0.0, 1)))
    together = coverage_table(rows_of(overlapping(rng, 60, 1, 10, 1.0, 1)))
    assert apart.query("coverage == 80")["effective"].item() > 300
    assert together.query("coverage == 80")["effective"].item() < 66


def test_coverage_of_one_cutoff_counts_as_one_forecast() -> None:
    table = coverage_table(rows_of(np.random.default_rng(5).normal(size=(1, 3, 8))))
    assert (table["effective"] == 1).all()
    assert (table["high"] - table["low"] > 0.9).all()


def test_coverage_of_everything_rests_on_the_origins() -> None:
    table = coverage_table(rows_of(np.zeros((24, 6, 5))))
    assert (table["covered"] == 1).all()
    assert (table["effective"] == 4).all()
    assert (table["high"] == 1).all()


def test_pit_table_adds_up_and_shows_too_narrow_intervals() -> None:
    table = pit_table(several({"right": 1.0, "narrow": 0.4}, (40, 3, 6))).set_index("model").drop(columns="kind")
    assert table.sum(axis=1).to_numpy() == pytest.approx([1, 1])
    assert table.loc["narrow", "bin1"] > 2.5 * table.loc["right", "bin1"]


# Regimes


def test_regimes_go_by_the_last_month_of_the_period() -> None:
    rows = pd.DataFrame({"period": ["2019-12", "2020-01", "2022-01", "2022Q1", "FY2023", "2023Q4", "FY2018"]})
    assert with_regime(rows)["regime"].tolist() == [
        "before 2020", "pandemic", "pandemic", "shock", "after", "shock", "before 2020",
    ]  # fmt: skip
    mine = with_regime(rows, {"war": ("2022-02", "2022-12")})
    assert mine["regime"].tolist() == ["other", "other", "other", "war", "other", "other", "other"]


def test_regimes_that_cannot_be_say_why() -> None:
    rows = pd.DataFrame({"period": ["2020-01"]})
    with pytest.raises(DataError, match="a and b overlap"):
        with_regime(rows, {"a": (None, "2020-01"), "b": ("2020-01", None)})
    with pytest.raises(DataError, match="before it begins"):
        with_regime(rows, {"a": ("2021-01", "2020-01")})
    with pytest.raises(DataError, match="2020 is not a month"):
        with_regime(rows, {"a": ("2020", None)})


def test_default_regimes_leave_no_month_out() -> None:
    months = pd.period_range("2010-01", "2027-12", freq="M").astype(str)
    assert set(with_regime(pd.DataFrame({"period": months}))["regime"]) == set(REGIMES)


def test_last_months_of_all_kinds() -> None:
    rows = pd.DataFrame({"period": ["2026-09", "2026Q3", "FY2025", "FY2026"]})
    assert np.diff(last_months(rows)).tolist() == [0, -6, 12]


def test_regimes_are_scored_apart() -> None:
    rows = with_regime(several({"a": 1.0}, (80, 1, 2)))
    table = score_table(rows, ["model", "regime"])
    assert table["regime"].tolist() == ["before 2020", "pandemic"]
    assert table["cells"].sum() == 160
