"""The scale on which a series is modelled, so that no interval of a positive series goes below zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LABELS = {0.0: "log", 0.5: "square root", 1.0: "level"}


@dataclass(frozen=True)
class Transform:
    """Box–Cox power (0 = log, 0.5 = square root, 1 = level) around a unit; with ``floor`` never below zero.

    What would be less than ``least``, half of the smallest trade ever published, is no trade: zero."""

    power: float
    unit: float
    floor: bool
    least: float = 0.0

    @property
    def label(self) -> str:
        return LABELS[self.power] + (", not below zero" if self.floor and self.power else "")

    def forward(self, y: np.ndarray) -> np.ndarray:
        """Values to the modelling scale; NaN stays NaN."""
        scaled = np.asarray(y, dtype=float) / self.unit
        if self.power == 0.0:
            return np.log(np.maximum(scaled, 1e-9))
        return (scaled**self.power - 1.0) / self.power if self.power != 1.0 else scaled - 1.0

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Back to catalogue units, exact on paths."""
        if self.power == 0.0:
            return self.unit * np.exp(np.clip(z, -50.0, 50.0))
        base = 1.0 + self.power * np.asarray(z, dtype=float)
        if self.floor:
            base = np.maximum(base, 0.0)
        y = self.unit * (base ** (1.0 / self.power) if self.power != 1.0 else base)
        return np.where(y < self.least, 0.0, y) if self.least else np.asarray(y)


def choose_transform(y: np.ndarray) -> Transform:
    """Scale by profile likelihood of seasonal changes (Box and Cox 1964) among log, square root and level.

    Negative values: level, unbounded. Zeros: square root (level when more than half are zero), floored at zero.
    Log is kept unless another scale is clearly likelier (two units of log-likelihood).
    """
    known = y[~np.isnan(y)]
    unit = float(np.mean(np.abs(known))) or 1.0
    if (known < 0).any():
        return Transform(1.0, unit, floor=False)
    if (known == 0).any():
        positive = known[known > 0]
        least = 0.5 * float(positive.min()) if len(positive) else 0.0
        return Transform(0.5 if (known == 0).mean() <= 0.5 else 1.0, unit, floor=True, least=least)
    return Transform(_likeliest_power(y / unit), unit, floor=True)


def _likeliest_power(y: np.ndarray) -> float:
    lag = 12 if len(y) >= 36 else 1

    def likelihood(power: float) -> float:
        z = Transform(power, 1.0, floor=True).forward(y)
        change = z[lag:] - z[:-lag]
        used = ~np.isnan(change)
        spread = np.var(change[used]) if used.any() else 0.0
        jacobian = (power - 1.0) * np.log(y[lag:][used]).sum()
        return float(-0.5 * used.sum() * np.log(spread) + jacobian) if spread > 0 else -np.inf

    likelihoods = {power: likelihood(power) for power in LABELS}
    best = max(likelihoods, key=lambda power: likelihoods[power])
    return best if likelihoods[best] > likelihoods[0.0] + 2.0 else 0.0
