"""The shortest step that satisfies inequalities."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls


def least_distance(rows: np.ndarray, floor: np.ndarray, tolerance: float = 1e-10) -> np.ndarray | None:
    """The w (d) of least norm with rows (c × d) · w ≥ floor (c) − tolerance; nothing where there is none.

    Least-distance programming of Lawson and Hanson (1974, chapter 23) as non-negative least squares, on the violated
    inequalities first and on more as they turn out to be violated. Rows are best scaled to one size.
    """
    size = float(np.max(np.abs(floor), initial=0.0)) or 1.0
    wanted = floor / size
    w = np.zeros(rows.shape[1])
    active = np.zeros(len(rows), dtype=bool)
    while True:
        violated = rows @ w < wanted - tolerance
        if not violated.any():
            return w * size
        if not (violated & ~active).any():
            return None
        active |= violated
        stacked = np.vstack([rows[active].T, wanted[active] - tolerance / 2])
        aim = np.zeros(len(stacked))
        aim[-1] = 1.0
        try:
            left = stacked @ nnls(stacked, aim, maxiter=20 * len(stacked))[0] - aim
        except RuntimeError:
            return None
        if left[-1] > -1e-14:
            return None
        w = -left[:-1] / left[-1]
