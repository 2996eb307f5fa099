"""How past forecasts did: the leaderboard, skill by step, coverage, PIT, and the last ones beside what came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecasting import leaderboard
from forecasting.plot_backtest import MOST_MODELS, colours
from forecasting.report import Content, Judged
from forecasting.scores import STEP_WORDS
from forecasting.workbook import (
    CHANGE,
    PERCENT,
    ROWS_OF_CHART,
    SHARE,
    Block,
    Cell,
    Column,
    Line,
    Number,
    number_format,
    ready_to_print,
    step_chart,
    write_heading,
    write_table,
    write_title,
)


def backtest(sheet: Any, content: Content) -> None:
    """Tables of a backtest, two of them with a chart at their right."""
    assert content.backtest
    judged = content.backtest
    row = write_title(sheet, f"Backtest {judged.result.name}", *judged.words)
    row = _leaderboard(sheet, row, judged)
    row = _by_step(sheet, row, judged)
    row = _coverage(sheet, row, judged)
    row = _pit(sheet, row, judged)
    _past(sheet, row, content)
    sheet.freeze_panes = "B2"
    ready_to_print(sheet, content.outlook.source_line)


def _leaderboard(sheet: Any, row: int, judged: Judged) -> int:
    row = write_heading(sheet, row, "Models, best first (on the forecasts that every model made)")
    heads = [
        Column("Model", 44), Column("Skill", 12), Column("MASE", 12), Column("Scaled CRPS", 13),
        *(Column(f"{one} % held{more}", 12) for one in leaderboard.SHOWN_COVERAGES for more in ("", ", from", ", to")),
        Column("p, to be among the best", 12), Column("Failed", 10), Column("Forecasts", 10),
    ]  # fmt: skip
    rows = []
    for one in judged.board.table.to_dict("records"):
        held = [f"{name}{at}" for at in leaderboard.SHOWN_COVERAGES for name in ("covered", "low", "high")]
        scores = [Number(one["skill"], CHANGE), Number(one["mase"], "0.000"), Number(one["crps_scaled"], "0.000")]
        shares = [Number(one[name], PERCENT) for name in held]
        rows.append([one["model"], *scores, *shares, Number(one["p"], "0.000"), one["failed"], one["cells"]])
    return write_table(sheet, row, heads, rows)


def _by_step(sheet: Any, row: int, judged: Judged) -> int:
    models = _drawn_models(judged)
    has_base = bool(judged.by_step["skill"].notna().any())
    score, shown = ("skill", CHANGE) if has_base else ("crps_scaled", "0.000")
    title = "Skill (1 − CRPS / CRPS of the seasonal naive)" if has_base else "Scaled CRPS (less is better)"
    below = STEP_WORDS[judged.board.kind]
    wide = judged.by_step.pivot_table(index="step", columns="model", values=score, sort=True)
    rows: list[list[Cell]] = [
        [int(str(step)), *(Number(float(values.get(one, np.nan)), shown) for one in models)]
        for step, values in wide.iterrows()
    ]
    return _with_chart(sheet, row, title, Column(below.capitalize(), 14), models, rows, shown, bars=False)


def _coverage(sheet: Any, row: int, judged: Judged) -> int:
    row = write_heading(sheet, row, "Do intervals hold what they say (with bounds at 95 %, Clopper–Pearson)")
    heads = [
        Column("Model"), Column("Interval"), Column("Held"), Column("From"), Column("To"),
        Column("Independent forecasts that it is worth"), Column("Forecasts"),
    ]  # fmt: skip
    rows = [
        [
            one["model"], Number(one["coverage"] / 100, SHARE), *(Number(one[at], PERCENT) for at in
            ("covered", "low", "high")), Number(one["effective"], "0"), one["cells"],
        ]
        for one in judged.coverage.to_dict("records")
    ]  # fmt: skip
    return write_table(sheet, row, heads, rows)


def _pit(sheet: Any, row: int, judged: Judged) -> int:
    from openpyxl.worksheet.pagebreak import Break

    sheet.row_breaks.append(Break(id=row - 1))
    pit, models = judged.pit.set_index("model"), _drawn_models(judged)
    bins = [str(one) for one in pit if str(one).startswith("bin")]
    rows: list[list[Cell]] = [
        [f"{at * 10} to {at * 10 + 10} %", *(Number(float(pit[name][one]), PERCENT) for one in models)]
        for at, name in enumerate(bins)
    ]
    title = "Where outcomes fell in the forecast distribution (10 % each is honest)"
    return _with_chart(sheet, row, title, Column("Part of it", 14), models, rows, PERCENT, bars=True)


def _drawn_models(judged: Judged) -> list[str]:
    there = set(judged.by_step["model"]) & set(judged.pit["model"])
    return [one for one in map(str, judged.board.table["model"]) if one in there][:MOST_MODELS]


def _with_chart(
    sheet: Any, row: int, heading: str, first: Column, models: Sequence[str], rows: Sequence[Sequence[Cell]],
    shown: str, bars: bool,
) -> int:  # fmt: skip
    """A table of models across, and a chart of it to the right; the row after both."""
    from openpyxl.utils import get_column_letter

    row = write_heading(sheet, row, heading)
    after = write_table(sheet, row, [first, *(Column(one, max(12, len(one) + 2)) for one in models)], rows)
    palette = colours(models)
    lines = [Line(at, palette[one].removeprefix("#")) for at, one in enumerate(models, start=2)]
    block = Block(sheet, row, after - 2)
    sheet.add_chart(
        step_chart(block, heading, "", lines, "0 %" if "%" in shown else "0.00", bars),
        f"{get_column_letter(len(models) + 3)}{row}",
    )
    return max(after, row + ROWS_OF_CHART + 2)


def _past(sheet: Any, row: int, content: Content) -> None:
    row = write_heading(sheet, row, "Last forecasts beside what came")
    heads = [
        Column("Series"), Column("Month"), Column("Forecast from figures until"), Column("Median"), Column("80 % from"),
        Column("80 % to"), Column("What came"), Column("Inside"), Column("Model"),
    ]  # fmt: skip
    write_table(sheet, row, heads, _past_rows(content))


def _past_rows(content: Content) -> Iterator[list[Cell]]:
    for card in content.cards:
        shown = number_format(card.past["actual"])
        for one in card.past.to_dict("records"):
            inside = one["q10"] <= one["actual"] <= one["q90"]
            yield [
                card.entry.title, pd.Period(str(one["period"]), freq="M"), pd.Period(one["cutoff"], freq="M"),
                *(Number(one[name], shown) for name in ("q50", "q10", "q90", "actual")), "yes" if inside else "no",
                card.judged,
            ]  # fmt: skip
