"""The report of a backtest as one HTML file that needs nothing else: MLflow shows it offline and in a sandbox.

Charts are SVG in the page. matplotlib is imported inside the functions.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from typing import Any

from forecasting.leaderboard import do_intervals_cover, what_was_run, who_wins
from forecasting.plot_backtest import MOST_MODELS, colours, coverage_figure, pit_figure, skill_figure
from forecasting.plot_layout import GREY, INK, PALE, styled
from forecasting.scores import STEP_WORDS
from forecasting.tracking_sheet import Numbers, intervals, verdict

STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: {INK}; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.5rem; margin-bottom: 0 }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .3rem }}
p {{ margin: .2rem 0 .6rem; max-width: 48rem }} .pale {{ color: {GREY} }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; white-space: nowrap }}
th, td {{ padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid {PALE} }}
th:first-child, td:first-child, td.words, th.words {{ text-align: left }}
svg {{ max-width: 100%; height: auto }}
"""


def report(numbers: Numbers) -> str:
    """The whole page."""
    result, of = numbers.result, numbers.board
    drawn = numbers.leaders[:MOST_MODELS]
    left_out = len(numbers.leaders) - len(drawn)
    parts = [
        f"<h1>{html.escape(result.name)}</h1>",
        f"<p>{html.escape(f'{who_wins(of)} {do_intervals_cover(of)}')}</p>",
        f"<p class=pale>{html.escape(what_was_run(result, of))} Scores count only forecasts that every model made.</p>",
        f"<h2>Which model is best, and is the difference real</h2>{leaderboard(numbers)}",
    ]
    if drawn:
        remark = f" The best {len(drawn)} are drawn; {left_out} more stand in the table." if left_out else ""
        measure = "Skill" if numbers.base else "Scaled CRPS"
        parts += [
            f"<h2>{measure} by {STEP_WORDS[numbers.kind]}</h2>",
            "<p class=pale>Skill is 1 − CRPS / CRPS of the seasonal naive: above 0 is better than repeating last "
            f"year.{remark}</p>",
            skill_chart(numbers, drawn),
            "<h2>Do the intervals cover</h2><p class=pale>Share of outcomes inside the 80 % and 95 % intervals. Bars "
            "are bounds (Clopper–Pearson, 95 %) for the number of independent cutoffs: where a bar misses the dashed "
            "line, the interval is too narrow (below) or too wide (above).</p>",
            coverage_chart(numbers, drawn),
            "<h2>Where outcomes fell in the forecast distribution</h2><p class=pale>Flat is honest. High at both ends: "
            "too narrow. High in the middle: too wide. High at the right: outcomes came in above the forecasts.</p>",
            pit_chart(numbers, drawn),
        ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(result.name)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def leaderboard(numbers: Numbers) -> str:
    """All models, best first, as an HTML table."""
    of = numbers.board
    bias = dict(numbers.overall[numbers.kind][["model", "bias_percent"]].to_numpy().tolist())
    head = ["model", *(["skill"] if numbers.base else []), "MASE", "CRPS", "bias %", "80 %", "95 %", "s/fit"]
    titles = "".join(f"<th>{one}</th>" for one in head) + "<th class=words>verdict</th><th class=words>intervals</th>"
    rows = []
    for row in of.table.to_dict("records"):
        model = str(row["model"])
        numbers_of = [
            *([f"{row['skill']:+.3f}"] if numbers.base else []), f"{row['mase']:.3f}", f"{row['crps_scaled']:.3f}",
            f"{bias[model]:+.1f}", f"{100 * row['covered80']:.0f}", f"{100 * row['covered95']:.0f}",
            f"{row['fit_seconds']:.2g}",
        ]  # fmt: skip
        words = (verdict(of, model), intervals(numbers.covered(model)))
        cells = "".join(f"<td>{_shown(one)}</td>" for one in numbers_of)
        texts = "".join(f"<td class=words>{html.escape(one)}</td>" for one in words)
        rows.append(f"<tr><td>{html.escape(model)}</td>{cells}{texts}</tr>")
    return f"<div class=wide><table><tr>{titles}</tr>{''.join(rows)}</table></div>"


def _shown(number: str) -> str:
    if "nan" in number:
        return "–"
    return number.lstrip("+-") if float(number) == 0 else number.replace("-", "−")


# --- Charts ----------------------------------------------------------------------------------------------


def skill_chart(numbers: Numbers, models: Sequence[str]) -> str:
    """Skill by step, a line a model."""
    score = "skill" if numbers.base else "crps_scaled"
    palette, below = colours(numbers.models), STEP_WORDS[numbers.kind]
    return _svg(lambda: skill_figure(numbers.by_step, models, palette, score, below))


def coverage_chart(numbers: Numbers, models: Sequence[str]) -> str:
    """Covered shares with bounds by step: a panel a model."""
    palette, below = colours(numbers.models), STEP_WORDS[numbers.kind]
    return _svg(lambda: coverage_figure(numbers.coverage_by_step, models, palette, below))


def pit_chart(numbers: Numbers, models: Sequence[str]) -> str:
    """Share of outcomes in each tenth of the forecast distribution: a panel a model."""
    return _svg(lambda: pit_figure(numbers.pit, models, colours(numbers.models)))


def _svg(figure: Callable[[], Any]) -> str:
    """The figure as an SVG element with the reader's fonts, the same text every time."""
    with styled(**{"svg.fonttype": "none", "font.family": ["sans-serif"]}):
        buffer = io.StringIO()
        figure().savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
