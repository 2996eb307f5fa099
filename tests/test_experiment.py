"""Rolling forecasts: what is shared between origins saves work and changes nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import invented

from forecasting.experiment import Origin, jobs_of, rolling
from forecasting.models import ets, sarima
from forecasting.models.base import Forecaster
from forecasting.models.boosting import Boosting
from forecasting.models.ets import Ets
from forecasting.models.sarima import Sarima
from forecasting.models.theta import Theta
from forecasting.panel import Panel

TREES = Boosting(n_trees=10, steps=4, min_leaf=10)


def origins(panel: Panel, backs: tuple[int, ...], series: tuple[str, ...]) -> list[Origin]:
    """Four months ahead from so many months before the end."""
    cutoffs = [panel.cutoff - back for back in backs]
    return [(one, pd.DataFrame(index=pd.period_range(one + 1, one + 4, freq="M")), series) for one in cutoffs]


def forget() -> None:
    ets._choose.cache_clear()
    sarima._search.cache_clear()


@pytest.mark.parametrize("model", [Theta(), Ets(), Sarima(), TREES], ids=lambda one: one.name)
def test_an_origin_says_the_same_alone_and_after_others(model: Forecaster) -> None:
    panel = invented(series=3, months=76)
    wanted = origins(panel, (9, 5, 2), panel.series)
    together = rolling(model, panel.until, wanted, 50, 0).forecasts
    for one, shared in zip(wanted, together, strict=True):
        forget()
        alone = rolling(model, panel.until, [one], 50, 0).forecasts[0]
        np.testing.assert_array_equal(alone.paths, shared.paths)


@pytest.mark.parametrize("model", [Theta(), TREES], ids=lambda one: one.name)
def test_only_the_last_origin_is_described_and_only_where_it_is_watched(model: Forecaster) -> None:
    panel = invented(series=2, months=76)
    wanted = [*origins(panel, (20, 9), panel.series), *origins(panel, (2,), ("s0",))]
    panels = [panel.until(cutoff) for cutoff, _, _ in wanted]
    jobs = jobs_of(model, panels, wanted, (10,), 0)
    assert [job.described for job, _ in jobs] == [at[-1] == 2 for _, at in jobs]
    assert {job.described for job, _ in jobs} == {True, False}
    assert not any(job.described for job, _ in jobs_of(model, panels, wanted, (10,), 0, watched=False))
    said = rolling(model, panel.until, wanted, 10, 0).described
    assert said["series"].tolist() == ["s0"]
