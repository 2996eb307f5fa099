"""Who caused how much of a difference: shares that add up exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial

import numpy as np

MOST_SHAPLEY = 6
"""Causes up to which every order is looked at: 2^6 worlds."""

Worth = Callable[[tuple[int, ...]], np.ndarray]
"""What comes out (any shape) when only these causes, by place and in order, are at work."""


def contributions(causes: int, worth: Worth) -> np.ndarray:
    """Mean marginal effect of each cause over all orders of arrival (Shapley 1953): causes × shape of the worth.

    Their sum is the worth of all less the worth of none. Beyond ``MOST_SHAPLEY`` causes: in the order as listed.
    """
    if not causes:
        return np.empty((0, *worth(()).shape))
    if causes > MOST_SHAPLEY:
        steps = [worth(tuple(range(count))) for count in range(causes + 1)]
        return np.diff(np.stack(steps), axis=0)
    worths = {group: worth(group) for size in range(causes + 1) for group in combinations(range(causes), size)}
    return np.stack([_mean_marginal(one, causes, worths) for one in range(causes)])


def _mean_marginal(one: int, causes: int, worths: dict[tuple[int, ...], np.ndarray]) -> np.ndarray:
    without: Sequence[tuple[int, ...]] = [group for group in worths if one not in group]
    weights = [factorial(len(group)) * factorial(causes - len(group) - 1) / factorial(causes) for group in without]
    gains = [worths[tuple(sorted((*group, one)))] - worths[group] for group in without]
    return np.asarray(sum(weight * gain for weight, gain in zip(weights, gains, strict=True)))
