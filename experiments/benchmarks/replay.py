"""Did the measures help then? `python experiments/benchmarks/replay.py [--models theta ets] [--bench FOLDER]`.

Replays every record of data/measures.toml whose size was known before it took effect, from the month before, and two
series of US trade that were hit in 2022 (FOLDER/census_trade_dev.parquet; sizes are judgements from the acts of then).
Prints the mean scores with and without, better or worse.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from forecasting import scenarios
from forecasting.errors import ForecastingError
from forecasting.measures import known_by
from forecasting.replay import Replayed, replay
from forecasting.scenario import Assumption, Scenario, Size
from forecasting.workflow import Request

BENCH = Path(os.environ.get("TRADECAST_BENCH", "../shared/data/bench"))
HIT = (
    ("us.export.belarus", "2022-03", 0.8, "BIS, 87 FR 13048, in force 2022-03-02: policy of denial; judgement of 80 %"),
    ("us.import.belarus", "2022-04", 0.7, "potash wound down to 2022-04-01 (OFAC, 2021-12-02); judgement of 70 %"),
    ("us.export.ukraine", "2022-03", 0.0, "no measure: a placebo of size zero"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["seasonal_naive", "theta", "ets"])
    parser.add_argument("--bench", type=Path, default=BENCH)
    parser.add_argument("--horizons", nargs="+", type=int, default=[3, 12], help="months after the cutoff")
    given = parser.parse_args()
    asked = [(model, months) for model in given.models for months in given.horizons]
    rows = [row for model, months in asked for row in (*ledger(model, months), *bench(model, months, given.bench))]
    table = pd.DataFrame(rows).round(2)
    with pd.option_context("display.width", 250, "display.max_columns", 20, "display.max_rows", 200):
        print(table.to_string(index=False))
    judged = table[table["crps_change_pct"] != 0]
    better = judged["crps_change_pct"] < 0
    print(f"\n{better.sum()} of {len(judged)} better with the measure, {(~better).sum()} worse.")


def ledger(model: str, months: int) -> list[dict[str, object]]:
    """Records that could be replayed from the month before they took effect."""
    rows = []
    for name, measure in scenarios.ledger().items():
        if measure.start is None:
            continue
        before = measure.start - 1
        known = known_by({name: measure}, before.end_time.date())
        if name in known and known[name].effects:
            request = Request(as_of=str(before), horizon=months, workers=1)
            rows += told(name, model, months, lambda: replay([name], request, model))  # noqa: B023
    return rows


def bench(model: str, months: int, folder: Path) -> list[dict[str, object]]:
    """Series of other countries that were hit, or not."""
    path = folder / "census_trade_dev.parquet"
    if not path.is_file():
        print(f"{path} is not there: give --bench FOLDER or TRADECAST_BENCH; only the ledger is replayed.")
        return []
    table = pd.read_parquet(path)
    rows = []
    with tempfile.TemporaryDirectory(prefix="tradecast-") as made:
        for series, start, share, source in HIT:
            file = Path(made) / f"{series}.csv"
            own = table[table["unique_id"] == series]
            own.rename(columns={"unique_id": "series", "ds": "month", "y": "value"})[
                ["series", "month", "value"]
            ].to_csv(file, index=False)
            month = pd.Period(start, "M")
            act = Scenario("then", (Assumption(series, "ban", month, source, size=Size((share,))),))
            request = Request((series,), data=file, as_of=str(month - 1), horizon=months, workers=1)
            rows += told(series, model, months, lambda: replay([], request, model, [act]))  # noqa: B023
    return rows


def told(name: str, model: str, months: int, run: Callable[[], Replayed]) -> list[dict[str, object]]:
    """Rows of one replay, or why there is none."""
    try:
        found = run()
    except ForecastingError as error:
        print(f"{name}, {model}: not replayed. {error}")
        return []
    columns = ["kind", "periods", "crps_without", "crps_with", "crps_change_pct", "interval_score_without",
               "interval_score_with", "log_score_without", "log_score_with", "error_without", "error_with"]  # fmt: skip
    return [
        {
            "measure": name,
            "model": model,
            "horizon": months,
            "series": row["series"],
            **{column: row[column] for column in columns},
        }
        for row in found.summary().to_dict("records")
    ]


if __name__ == "__main__":
    main()
