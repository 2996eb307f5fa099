"""Do weights find the scenario that came true, and what do other densities do? Invented cubes, under a minute.

    python experiments/benchmarks/scenario_weights.py [--rounds 80]

Three series that move together, and their total; four scenarios: baseline (0.4), cars down by 15 % (0.3), fish banned
without residual (0.2), a quota that fixes cars a little below the baseline (0.1). In each round one scenario is drawn
with its prior probability and a future from it. Worlds: `honest` (as the cube says), `wild` (monthly shocks from a t
with 3 degrees, 1.5 times as wide), `leaky` (5 % of the banned fish is traded after all, the quota missed by 2 %). Last,
how exact the quantiles of the mixture's paths are.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from forecasting.forecast import QUANTILES, Forecast
from forecasting.mixture import Density, Weighed, allotment, weigh
from forecasting.seeds import stream

PRIOR = {"down 15 %": 0.3, "ban": 0.2, "quota": 0.1, "baseline": 0.4}
SERIES = ("cars", "fish", "lng", "total")
SIZES = np.array([100.0, 20.0, 60.0])
MONTHS = pd.period_range("2026-01", periods=6, freq="M")
HISTORY = pd.period_range("2021-01", "2025-12", freq="M")
WORLDS = ("honest", "wild", "leaky")
FITS = {
    "chosen": Density(),
    "normal": Density(freedom=np.inf),
    "t, 4 degrees": Density(freedom=4.0),
    "t, 12 degrees": Density(freedom=12.0),
    "least width 0.1": Density(least_width=0.1),
    "least width 0.25": Density(least_width=0.25),
    "least width 1": Density(least_width=1.0),
    "shrink 0.01": Density(shrink=0.01),
    "shrink 0.3": Density(shrink=0.3),
}


def futures(count: int, rng: np.random.Generator, world: str) -> np.ndarray:
    """Paths (count × months × series), the total last."""
    draw = rng.standard_normal if world != "wild" else lambda size: 1.5 * rng.standard_t(3.0, size)
    shocks = 0.08 * (0.5 * draw((count, len(MONTHS), 1)) + 0.87 * draw((count, len(MONTHS), 3)))
    level = np.zeros((count, 3))
    walked = []
    for at in range(len(MONTHS)):
        level = 0.9 * level + shocks[:, at]
        walked.append(level)
    return with_total(SIZES * np.exp(np.stack(walked, axis=1)))


def with_total(parts: np.ndarray) -> np.ndarray:
    return np.concatenate([parts, parts.sum(axis=2, keepdims=True)], axis=2)


def under(scenario: str, paths: np.ndarray, leak: float = 0.0, missed: np.ndarray | float = 0.0) -> np.ndarray:
    """Baseline paths as the scenario has them; ``leak`` is the share that a ban lets through, ``missed`` in logs."""
    parts = paths[:, :, :3].copy()
    if scenario == "down 15 %":
        parts[:, :, 0] *= 0.85
    elif scenario == "ban":
        parts[:, :, 1] *= leak
    elif scenario == "quota":
        parts[:, :, 0] = 95.0 * np.exp(missed)
    return with_total(parts)


def cube(seed: int = 0, paths: int = 1000) -> dict[str, Forecast]:
    base = futures(paths, stream(seed, "cube"), "honest")
    cutoff = (HISTORY[-1],) * len(SERIES)
    return {one: Forecast(under(one, base), MONTHS, SERIES, cutoff, "invented", one) for one in PRIOR}


def rounds(world: str, fit: Density, count: int, cubes: dict[str, Forecast]) -> list[tuple[str, Weighed]]:
    past = with_total(SIZES * np.exp(0.08 * stream(0, "past").standard_normal((len(HISTORY), 3)))[None])[0]
    made = []
    for at in range(count):
        rng = stream(at, "truth", world)
        truth = str(rng.choice(list(PRIOR), p=list(PRIOR.values())))
        leaky = world == "leaky"
        missed = 0.02 * leaky * rng.standard_normal(len(MONTHS))
        came = under(truth, futures(1, rng, world), 0.05 * leaky, missed)[0]
        actual = pd.DataFrame(np.vstack([past, came]), HISTORY.append(MONTHS), list(SERIES))
        made.append((truth, weigh(cubes, PRIOR, actual, SERIES, fit=fit)))
    return made


def outcome(made: list[tuple[str, Weighed]], landed: int) -> dict[str, float]:
    """Means over rounds after so many months; log scores are sums over those months."""
    weight = np.array([w.steps["posterior"][truth].iloc[landed - 1] for truth, w in made])
    squares = [(w.steps["posterior"].iloc[landed - 1] ** 2).sum() for _, w in made]
    sums = [w.steps["log_density"].iloc[:landed] for _, w in made]
    totals = np.array([one.sum() for one in sums])
    return {
        "weight of truth": weight.mean(),
        "promised": float(np.mean(squares)),
        "log weight": np.log(weight).mean(),
        "mixture": float(np.mean([w.log_score().iloc[:landed].sum() for _, w in made])),
        "best": totals.max(axis=1).mean(),
        "equal": (np.log(np.exp(totals - totals.max(axis=1, keepdims=True)).mean(axis=1)) + totals.max(axis=1)).mean(),
        "baseline only": float(np.mean([one["baseline"].sum() for one in sums])),
    }


def with_horizon(paths: np.ndarray) -> np.ndarray:
    """Months and the total over the horizon, of every series (count × months + 1 × series)."""
    return np.concatenate([paths, paths.sum(axis=1, keepdims=True)], axis=1)


def quantiles(cubes: dict[str, Forecast]) -> np.ndarray:
    """Of the exactly weighted mixture (9 × months + 1 × series)."""
    whole = np.concatenate([with_horizon(forecast.paths) for forecast in cubes.values()])
    weight = np.concatenate([np.full(len(f.paths), PRIOR[one] / len(f.paths)) for one, f in cubes.items()])
    order = np.argsort(whole, axis=0)
    level = np.cumsum(weight[order], axis=0) - weight[order] / 2
    value = np.take_along_axis(whole, order, axis=0)
    found = np.empty((len(QUANTILES), *whole.shape[1:]))
    for i, j in np.ndindex(whole.shape[1:]):
        found[:, i, j] = np.interp(QUANTILES, level[:, i, j], value[:, i, j])
    return found


def error(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Mean error of the nine quantiles in percent of the 80 % interval: of months, and of totals over the horizon."""
    relative = 100 * np.abs(found - exact) / (exact[6] - exact[2])
    return np.array([relative[:, :-1].mean(), relative[:, -1].mean()])


def mixed(cubes: dict[str, Forecast], whose: np.ndarray) -> np.ndarray:
    """Quantiles of the paths that the allotment takes (9 × months + 1 × series)."""
    paths = np.select([(whose == one)[:, None, None] for one in cubes], [f.paths for f in cubes.values()])
    return np.quantile(with_horizon(paths), QUANTILES, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=80)
    count = parser.parse_args().rounds
    cubes = cube()
    made = {(world, name): rounds(world, fit, count, cubes) for world in WORLDS for name, fit in FITS.items()}
    rows = [{"world": w, "months": k} | outcome(made[w, "chosen"], k) for w in WORLDS for k in (1, 2, 3, 6)]
    print(f"{len(PRIOR)} scenarios, {count} rounds; log scores are sums over the months landed")
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    print("\nMean log weight of the truth after 1 and 3 months (0 is best), by density")
    table = {
        (world, k): {name: outcome(made[world, name], k)["log weight"] for name in FITS}
        for world in WORLDS
        for k in (1, 3)
    }
    print(pd.DataFrame(table).round(3).to_string())
    print("\nError of the mixture's quantiles in percent of its 80 % interval: months, totals over the horizon")
    kinds: dict[str, list[np.ndarray]] = {"by rank of the future": [], "at random": [], "another cube, exact": []}
    for seed in range(10):
        cubes, whose = cube(seed), allotment(cube(seed), PRIOR, seed)
        exact = quantiles(cubes)
        kinds["by rank of the future"].append(error(mixed(cubes, whose), exact))
        kinds["at random"].append(error(mixed(cubes, stream(seed, "plain").permutation(whose)), exact))
        kinds["another cube, exact"].append(error(quantiles(cube(seed + 100)), exact))
    for kind, errors in kinds.items():
        print(f"{kind:22s} {np.mean(errors, axis=0).round(2)}")


if __name__ == "__main__":
    main()
