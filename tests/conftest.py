"""Small invented panels and the command line, for every test."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from forecasting import cli
from forecasting.panel import Panel

# The same examples in every run, so that a red run is a change; HYPOTHESIS_PROFILE=explore looks for new ones. No
# example is held against the clock: on a busy machine that says nothing of the code.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


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


@pytest.fixture
def tradecast(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run `tradecast …` in this process: exit code, standard output (no line wider than ``width``), standard error."""

    def one(*words: object, width: int = 110) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr("sys.argv", ["tradecast", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        assert max((len(line) for line in said.out.splitlines()), default=0) <= width
        assert isinstance(left.value.code, int)
        return left.value.code, said.out, said.err

    return one
