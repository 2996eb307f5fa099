"""Small invented panels that every test may use."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from forecasting.panel import Panel


def invented(series: int = 3, months: int = 72, seed: int = 0, last: str = "2026-08") -> Panel:
    """Positive seasonal series with a random-walk level (T × n)."""
    rng = np.random.default_rng(seed)
    index = pd.period_range(end=pd.Period(last, "M"), periods=months, freq="M")
    season = 0.2 * np.sin(2 * np.pi * np.arange(months) / 12)[:, None]
    level = np.cumsum(rng.normal(0.0, 0.04, (months, series)), axis=0)
    noise = rng.normal(0.0, 0.05, (months, series))
    y = 1000.0 * np.exp(level + season + noise) * (1 + np.arange(series))
    return Panel(pd.DataFrame(y, index=index, columns=[f"s{i}" for i in range(series)]))


@pytest.fixture
def panel() -> Panel:
    return invented()
