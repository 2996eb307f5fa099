"""How long panels of millions of series would take, by a stated model of cost, and which partition size it suggests.

    python experiments/benchmarks/scale_model.py --cost 0.016 --learning 150 --spread 0.1

A task of s series takes s × cost seconds times a lognormal factor (``--spread``), and one in a hundred five times that
(a straggler: a busy machine). Workers die ``--deaths`` times a day each: the task starts again elsewhere, the worker
is back after a minute. The engine hands out at most ``--rate`` tasks a second, from one scheduler. Learning from the
sample comes first and spreads over a few workers only. All cost figures are measured by scale.py and engines.py on
this machine and given as options; everything else is simulated, which the table says.
"""

from __future__ import annotations

import argparse
import heapq
from dataclasses import dataclass

import numpy as np
import pandas as pd

STRAGGLERS, SLOWER = 0.01, 5.0
BACK_AFTER = 60.0
BYTES_A_SERIES = 60
"""What the parent holds of a series at its peak: number, kind, place and what sorting them takes."""


@dataclass(frozen=True)
class Cost:
    """Measured: seconds a series, seconds of learning, spread of task times, tasks a second, deaths a worker day."""

    series: float
    learning: float
    spread: float
    rate: float
    deaths: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", type=float, required=True, help="CPU seconds a series, by scale.py")
    parser.add_argument("--learning", type=float, required=True, help="CPU seconds that learning takes once")
    parser.add_argument("--spread", type=float, default=0.1, help="standard deviation of the log of task times")
    parser.add_argument("--rate", type=float, default=150.0, help="tasks a second that the scheduler hands out")
    parser.add_argument("--deaths", type=float, default=1.0, help="deaths a worker and day")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    cost = Cost(given.cost, given.learning, given.spread, given.rate, given.deaths)
    rows = [
        row(cost, count, workers, size, given.seed)
        for count in (1_000_000, 10_000_000)
        for workers in (10, 100, 1_000)
        for size in (100, 500, 1_000, 2_000, 5_000, 20_000)
    ]
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:,.2f}".format))


def row(cost: Cost, count: int, workers: int, size: int, seed: int) -> dict[str, object]:
    """Hours, what they are of the least possible, and what is limited by what."""
    tasks = -(-count // size)
    wall, lost = simulated(cost, tasks, workers, size, np.random.default_rng([seed, count, workers, size]))
    learning = cost.learning / min(workers, 8)
    least = count * cost.series / workers
    handed = tasks / cost.rate
    return {
        "series": count, "workers": workers, "partition": size, "tasks": tasks, "hours": (wall + learning) / 3600,
        "of least": (wall + learning) / least, "lost %": 100 * lost / (count * cost.series),
        "scheduler busy %": 100 * handed / max(wall, handed), "parent MiB": 250 + count * BYTES_A_SERIES / 2**20,
    }  # fmt: skip


def simulated(cost: Cost, tasks: int, workers: int, size: int, rng: np.random.Generator) -> tuple[float, float]:
    """Seconds until the last task ends, and worker seconds of work that died with its worker."""
    free = [(0.0, worker) for worker in range(workers)]
    heapq.heapify(free)
    handed = ended = lost = 0.0
    todo = tasks
    times = size * cost.series * np.exp(cost.spread * rng.normal(size=tasks) - cost.spread**2 / 2)
    times[rng.random(tasks) < STRAGGLERS] *= SLOWER
    again: list[float] = []
    while todo or again:
        at, worker = heapq.heappop(free)
        begin = handed = max(at, handed + 1 / cost.rate)
        if todo:
            todo -= 1
            takes = float(times[todo])
        else:
            takes = again.pop()
        dies = rng.exponential(86_400 / cost.deaths) if cost.deaths else np.inf
        if dies < takes:
            lost += dies
            again.append(takes)
            heapq.heappush(free, (begin + dies + BACK_AFTER, worker))
            continue
        ended = max(ended, begin + takes)
        heapq.heappush(free, (begin + takes, worker))
    return ended, lost


if __name__ == "__main__":
    main()
