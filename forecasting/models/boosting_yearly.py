"""Gradient boosted trees that start from the same month a year ago."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from forecasting.features import YEAR
from forecasting.models.boosting import Boosting


@dataclass(frozen=True)
class YearlyBoosting(Boosting):
    """Trees that correct the same month a year ago plus drift.

    They miss otherwise than those on level plus season, which is what a pool lives on.
    """

    name: ClassVar[str] = "boosting_yearly"
    anchor: ClassVar[str] = YEAR
