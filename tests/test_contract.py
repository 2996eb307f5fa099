"""One contract for every registered model."""

from __future__ import annotations

from dataclasses import asdict, fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest
from conftest import invented

from forecasting.errors import ModelError
from forecasting.models import MODELS, forecaster
from forecasting.panel import Panel

H = 4
every_model = pytest.mark.parametrize("name", list(MODELS))


def forecast(name: str, panel: Panel, *, seed: int = 0, paths: int = 200, h: int = H, **settings: object):
    return forecaster(name, **settings).fit(panel).predict(panel.future(panel.cutoff + h), paths, seed)


@every_model
def test_shape_and_months_follow_the_cutoff(name: str, panel: Panel) -> None:
    made = forecast(name, panel)
    assert made.paths.shape == (200, H, 3)
    assert list(made.months) == list(pd.period_range("2026-09", "2026-12", freq="M"))
    assert made.model == name
    assert made.series == panel.series
    assert (made.paths > 0).all()


@every_model
def test_same_seed_same_bytes_and_another_seed_other_paths(name: str, panel: Panel) -> None:
    one, two, other = (forecast(name, panel, seed=seed).paths for seed in (7, 7, 8))
    assert one.tobytes() == two.tobytes()
    assert not np.array_equal(one, other)


@every_model
def test_settings_are_frozen_values_under_their_name(name: str) -> None:
    made = forecaster(name)
    assert is_dataclass(made)
    assert made.name == name
    assert forecaster(name, **{field.name: getattr(made, field.name) for field in fields(made)}) == made
    asdict(made)
    with pytest.raises((AttributeError, TypeError)):
        made.anything = 1  # type: ignore[attr-defined]


@every_model
def test_nothing_after_the_cutoff_changes_the_result(name: str, panel: Panel) -> None:
    cutoff = panel.months[-7]
    spoiled = panel.y.copy()
    spoiled.loc[cutoff + 1 :] *= 1e6
    seen = [forecast(name, one.until(cutoff)).paths for one in (panel, Panel(spoiled))]
    assert seen[0].tobytes() == seen[1].tobytes()


@every_model
def test_order_of_series_changes_nothing(name: str, panel: Panel) -> None:
    turned = replace(panel, y=panel.y[["s2", "s0", "s1"]])
    one, two = forecast(name, panel), forecast(name, turned)
    for series in panel.series:
        np.testing.assert_array_equal(one.column(series), two.column(series))


@every_model
def test_ragged_edge_and_a_missing_month_are_bridged(name: str, panel: Panel) -> None:
    y = panel.y.copy()
    y.iloc[-2:, 0] = np.nan
    y.iloc[40, 1] = np.nan
    made = forecast(name, Panel(y))
    assert list(made.months) == list(pd.period_range("2026-07", "2026-12", freq="M"))
    assert made.cutoff == (pd.Period("2026-06"), pd.Period("2026-08"), pd.Period("2026-08"))
    known = made.column("s2")[:, :2]
    assert (known == y["s2"].iloc[-2:].to_numpy()).all()
    assert made.column("s0")[:, 0].std() > 0
    assert np.isfinite(made.paths).all()


@every_model
def test_a_hole_in_the_months_that_others_do_not_know_yet_is_bridged(name: str, panel: Panel) -> None:
    y = panel.y.copy()
    y.iloc[-4:, 0] = np.nan
    y.iloc[-3, 1] = np.nan
    made = forecast(name, Panel(y))
    assert made.months[0] == pd.Period("2026-05")
    assert np.isfinite(made.paths).all()


@every_model
def test_zero_heavy_series_stay_at_or_above_zero(name: str) -> None:
    panel = invented(series=2, months=60)
    y = panel.y.copy()
    rng = np.random.default_rng(1)
    y["s0"] = np.where(rng.random(60) < 0.7, 0.0, rng.lognormal(5.0, 1.0, 60))
    made = forecast(name, Panel(y))
    assert (made.paths >= 0).all()
    assert np.isfinite(made.paths).all()


@every_model
def test_a_constant_series_is_forecast_as_that_constant(name: str) -> None:
    panel = invented(series=2, months=60)
    y = panel.y.copy()
    y["s0"] = 500.0
    made = forecast(name, Panel(y))
    np.testing.assert_allclose(np.median(made.column("s0"), axis=0), 500.0, rtol=0.05)


@every_model
def test_negative_values_are_allowed_where_the_data_have_them(name: str) -> None:
    panel = invented(series=2, months=60)
    y = panel.y.copy()
    y["s0"] = y["s0"] - y["s0"].mean()
    made = forecast(name, Panel(y))
    assert (made.column("s0") < 0).any()


@every_model
def test_too_short_a_history_is_refused_by_name(name: str) -> None:
    short = invented(months=2)
    with pytest.raises(ModelError, match=f"^{name} "):
        forecast(name, short)


@every_model
def test_says_what_it_chose(name: str, panel: Panel) -> None:
    fitted = forecaster(name).fit(panel)
    described = fitted.describe()
    assert set(described["series"]) == set(panel.series)
    assert described["chosen"].str.len().min() > 3
    made = fitted.predict(panel.future(panel.cutoff + 1), 10, 0)
    assert set(made.notes) == set(panel.series)


@every_model
def test_intervals_cover_on_a_known_process(name: str) -> None:
    """90 % intervals of a stationary AR(1), 60 independent series: at least 80 % and at most 98 % inside."""
    rng = np.random.default_rng(3)
    months, n = 96, 60
    e = rng.normal(0.0, 0.1, (months + 100, n))
    z = np.zeros_like(e)
    for t in range(1, len(e)):
        z[t] = 0.6 * z[t - 1] + e[t]
    index = pd.period_range(end="2026-08", periods=months, freq="M")
    whole = Panel(pd.DataFrame(100 * np.exp(z[100:]), index=index, columns=[f"a{i}" for i in range(n)]))
    made = forecast(name, whole.until(whole.cutoff - H), paths=400)
    low, high = np.quantile(made.paths, [0.05, 0.95], axis=0)
    actual = whole.y.iloc[-H:].to_numpy()
    inside = ((actual >= low) & (actual <= high)).mean()
    assert 0.80 <= inside <= 0.985
