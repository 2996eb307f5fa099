"""Calibrated intervals cover what they say; coupling changes pairs and nothing else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting import calibration, pipeline
from forecasting.calibration import MIN_ORIGINS, calibrate, correlation, couple, error_rows, learn, say
from forecasting.forecast import COVERAGES, Forecast
from forecasting.transform import Transform

LOG = Transform(0.0, 1.0, floor=True)
H = 4


def world(origins: int, series: int = 6, too_narrow: float = 0.5, seed: int = 0) -> tuple[list[Forecast], pd.DataFrame]:
    """Forecasts whose spread is ``too_narrow`` times that of the truth, and the truth."""
    rng = np.random.default_rng(seed)
    names = tuple(f"s{at}" for at in range(series))
    months = pd.period_range("2000-01", periods=origins + H + 80, freq="M")
    truth = pd.DataFrame(np.exp(rng.normal(0.0, 0.2, (len(months), series))), index=months, columns=names)
    made = []
    for at in range(origins):
        paths = np.exp(rng.normal(0.0, 0.2 * too_narrow, (400, H, series)))
        cutoff = months[80 + at - 1]
        made.append(Forecast(paths, months[80 + at : 80 + at + H], names, (cutoff,) * series, "m"))
    return made, truth


def learned_from(made: list[Forecast], truth: pd.DataFrame):
    rows = pd.concat([error_rows(one, truth) for one in made], ignore_index=True)
    known = dict.fromkeys(made[0].series, 100)
    return learn(rows, dict.fromkeys(known, LOG), known, H)


@pytest.mark.parametrize("too_narrow", [0.5, 1.0, 2.0])
def test_calibrated_coverage_on_an_invented_panel(too_narrow: float) -> None:
    made, truth = world(24, series=150, too_narrow=too_narrow)
    learned = learned_from(made, truth)
    fresh, later = world(40, series=40, too_narrow=too_narrow, seed=1)
    for percent in (80, 95):
        inside = []
        for one in fresh:
            paths = calibrate(one, learned, dict.fromkeys(one.series, LOG)).paths
            low, high = np.quantile(paths, [0.5 - percent / 200, 0.5 + percent / 200], axis=0)
            actual = later.reindex(one.months).to_numpy()
            inside.append((actual >= low) & (actual <= high))
        assert np.mean(inside) == pytest.approx(percent / 100, abs=0.035)


def test_no_path_runs_away_however_few_errors_were_seen() -> None:
    made, truth = world(3, too_narrow=0.05)
    after = calibrate(made[0], learned_from(made, truth), dict.fromkeys(made[0].series, LOG)).paths
    high, most = np.quantile(after, 0.975, axis=0), after.max(axis=0)
    assert (np.log(most / np.median(after, axis=0)) <= 1.7 * np.log(high / np.median(after, axis=0)) + 1e-9).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_break_that_all_series_shared_at_most_doubles_what_comes_after_it(seed: int) -> None:
    made, truth = world(12, series=20, too_narrow=1.0, seed=seed)
    truth.iloc[86:] *= 50.0
    learned = learned_from(made, truth)
    before = np.log(np.quantile(made[0].paths, [0.025, 0.1, 0.9, 0.975], axis=0) / np.median(made[0].paths, axis=0))
    paths = calibrate(made[0], learned, dict.fromkeys(made[0].series, LOG)).paths
    after = np.log(np.quantile(paths, [0.025, 0.1, 0.9, 0.975], axis=0) / np.median(paths, axis=0))
    assert (np.abs(after) <= 2.0 * np.abs(before) + 0.02).all()
    assert np.abs(after).mean() > 1.5 * np.abs(before).mean()


@pytest.mark.parametrize(("series", "factor"), [(1, 1.1), (20, 1.5), (400, 1.9)])
def test_the_fewer_forecasts_do_not_overlap_the_less_they_change(series: int, factor: float) -> None:
    """Half the spread of the truth: the factor goes from one to two with the number of series, not of cutoffs."""
    table = learned_from(*world(12, series=series)).factors["s0"]
    assert table[:, 1].mean() == pytest.approx(factor, abs=0.15)


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_series_that_never_change_teach_the_others_nothing(level: float) -> None:
    made, truth = world(12, series=20)
    still = [f"s{at}" for at in range(10)]
    flat = truth.copy()
    flat[still] = level
    exact = [one.with_paths(np.where(np.arange(20) < 10, level, one.paths)) for one in made]
    others = [one.select(tuple(f"s{at}" for at in range(10, 20))) for one in made]
    assert np.allclose(learned_from(exact, flat).factors["s15"], learned_from(others, truth).factors["s15"])


def test_forecasts_that_never_missed_still_give_finite_paths() -> None:
    made, truth = world(12, series=1)
    exact = [one.with_paths(np.broadcast_to(truth.loc[one.months].to_numpy(), one.paths.shape).copy()) for one in made]
    paths = calibrate(made[-1], learned_from(exact, truth), {"s0": LOG}).paths
    assert np.isfinite(paths).all()


def test_only_published_months_teach() -> None:
    made, truth = world(10)
    cutoff = made[-1].cutoff[0]
    rows = pd.concat([error_rows(one, truth.loc[:cutoff]) for one in made])
    assert rows["month"].max() <= cutoff
    assert (rows["month"] > rows["cutoff"]).all()
    assert error_rows(made[-1], truth.loc[:cutoff]).empty


def test_order_of_paths_and_the_median_stay() -> None:
    made, truth = world(20)
    before = made[0]
    after = calibrate(before, learned_from(made, truth), dict.fromkeys(before.series, LOG))
    moved = np.take_along_axis(after.paths, np.argsort(before.paths, axis=0), axis=0)
    assert (np.diff(moved, axis=0) >= 0).all()
    np.testing.assert_allclose(np.median(before.paths, axis=0), np.median(after.paths, axis=0), rtol=0.01)


def test_few_origins_are_said_and_widen() -> None:
    made, truth = world(30, too_narrow=1.0)
    many, few = learned_from(made, truth), learned_from(made[:3], truth)
    nothing = learn(pd.DataFrame(), {}, {"s0": 30}, H)
    at95 = list(COVERAGES).index(95)
    assert few.factors["s0"][0, at95] > many.factors["s0"][0, at95]
    assert nothing.factors["s0"][0, at95] > 1.4
    assert "too few" in say(few.origins, ["s0"], few.widened)
    assert "too few" not in say(many.origins, ["s0"], many.widened)
    assert few.origins["s0"] == 3 < MIN_ORIGINS


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_wider_coverage_never_gives_a_narrower_interval(seed: int) -> None:
    made, truth = world(9, series=2, seed=seed)
    learned = learned_from(made, truth)
    paths = calibrate(made[0], learned, dict.fromkeys(made[0].series, LOG)).paths
    widths = [np.subtract(*np.quantile(paths, [0.5 + c / 200, 0.5 - c / 200], axis=0)) for c in COVERAGES]
    assert all((wide >= narrow - 1e-12).all() for narrow, wide in pairwise(widths))


def coupled_scores(rho: float, rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    both = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], rows)
    return pd.DataFrame(both, columns=["s0", "s1"])


def test_coupling_keeps_each_series_paths_and_their_course_over_time() -> None:
    before = world(1, series=3)[0][0]
    after = couple(before, coupled_scores(0.8), seed=0)
    for series in before.series:
        one = {row.tobytes() for row in before.column(series)}
        assert one == {row.tobytes() for row in after.column(series)}


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.8])
def test_coupled_paths_rank_together_as_past_errors_did(rho: float) -> None:
    rng = np.random.default_rng(0)
    paths = np.exp(np.cumsum(rng.normal(0, 0.1, (2000, H, 2)), axis=1))
    months = pd.period_range("2026-09", periods=H, freq="M")
    made = Forecast(paths, months, ("s0", "s1"), (months[0] - 1,) * 2, "m")
    after = couple(made, coupled_scores(rho), seed=0)
    reached = np.corrcoef(np.log(after.paths).mean(axis=1).T)[0, 1]
    assert reached == pytest.approx(rho, abs=0.1)


def test_coupling_does_not_depend_on_the_order_of_series() -> None:
    made = world(1, series=3)[0][0]
    turned = made.select(("s2", "s0", "s1"))
    one, two = couple(made, coupled_scores(0.5), 0), couple(turned, coupled_scores(0.5), 0)
    for series in made.series:
        np.testing.assert_array_equal(one.column(series), two.column(series))


def test_correlation_is_a_correlation_matrix_even_of_contradictory_pairs() -> None:
    scores = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 5)), columns=list("abcde"))
    scores.iloc[::2, 0] = np.nan
    matrix = correlation(scores, ["a", "b", "c", "d", "e", "unknown"])
    assert np.linalg.eigvalsh(matrix).min() > 0
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    np.testing.assert_allclose(matrix[5, :5], 0.0, atol=1e-6)


def test_more_series_than_paths_can_be_coupled() -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"s{at}" for at in range(60))
    months = pd.period_range("2026-09", periods=3, freq="M")
    cutoff = tuple(pd.Period("2026-08", "M") for _ in names)
    made = Forecast(rng.lognormal(size=(40, 3, 60)), months, names, cutoff, "m")
    scores = pd.DataFrame(rng.normal(size=(20, 60)), columns=list(names))
    coupled = couple(made, scores, seed=0)
    np.testing.assert_array_equal(np.sort(coupled.paths, axis=0), np.sort(made.paths, axis=0))


@pytest.mark.parametrize(
    ("series", "steps", "short", "long"),
    [(24, 5, tuple(range(1, 17)), tuple(range(3, 37, 3))), (217, 6, (6, 12, 18, 24, 30), (6, 12, 18, 24, 30)),
     (1_428, 18, (18,), (18,))],
)  # fmt: skip
def test_many_series_need_fewer_cutoffs_that_overlap_less(series, steps, short, long) -> None:
    assert pipeline.backs_of_kinds(series, steps) == (short, long)


def test_a_pool_holds_forecasts_of_histories_as_long_as_those_of_today() -> None:
    rows = pd.DataFrame(
        {"series": [f"s{at}" for at in range(300)], "cutoff": 0, "months_known": np.repeat([25, 45, 100], 100)}
    )
    short = (rows["months_known"] < calibration.SHORT_MONTHS).to_numpy()
    assert set(rows.loc[calibration._alike(rows, short, [50, 55]), "months_known"]) == {45}
    few = rows[rows["months_known"] != 45].reset_index(drop=True)
    kind = (few["months_known"] < calibration.SHORT_MONTHS).to_numpy()
    assert set(few.loc[calibration._alike(few, kind, [50]), "months_known"]) == {100}
    assert set(few.loc[calibration._alike(few, kind, [28]), "months_known"]) == {25}
