"""What a person reads in the terminal: forecasts, series, lists and findings as rich tables.

Every text goes through ``Text``, never through rich's markup, and loses its control characters: titles come
from users' files. rich is imported inside the functions, so that ``--help`` answers at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecasting.catalogue import Series
from forecasting.forecast import COVERAGES
from forecasting.units import Scale, percent, say, scale_of

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from forecasting.workflow import Outlook

SOURCE_LINE = "Source: Trade Statistics of Japan, Ministry of Finance; processed."
BLOCKS = "▁▂▃▄▅▆▇█"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
QUARTERS = ("Jan–Mar", "Apr–Jun", "Jul–Sep", "Oct–Dec")
MONTHS_OF = {"month": 1, "quarter": 3, "fiscal_year": 12}
SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
# Widths in letters: a row without intervals, the column of one interval, the interval of the change.
ROW, INTERVAL, CHANGE = 60, 20, 20


@dataclass(frozen=True)
class LastValue:
    """The last published value of a series, in catalogue units."""

    month: str
    value: float
    stage: str = ""


@dataclass(frozen=True)
class ViewContext:
    """What a forecast table does not say itself; ``year_ago`` and ``fall`` go by (series, period).

    ``fall`` is the probability, 0 to 1, of less than a year earlier; ``history`` is drawn as a sparkline.
    """

    catalogue: Mapping[str, Series]
    last: Mapping[str, LastValue] = field(default_factory=dict)
    year_ago: Mapping[tuple[str, str], float] = field(default_factory=dict)
    fall: Mapping[tuple[str, str], float] = field(default_factory=dict)
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    vintage: str = ""
    remarks: tuple[str, ...] = ()
    calibration: str = ""
    source_line: str = SOURCE_LINE

    def title(self, series: str) -> str:
        return self.catalogue[series].title if series in self.catalogue else series


def context_of(outlook: Outlook, calibration: str = "", source_line: str = SOURCE_LINE) -> ViewContext:
    """The context of a workflow's outlook."""
    stages = outlook.dataset.observations.set_index(["series", "month"])["stage"].to_dict()
    known = {one: outlook.history[one].dropna() for one in outlook.series}
    year_ago: dict[tuple[str, str], float] = {}
    fall: dict[tuple[str, str], float] = {}
    for of in outlook.totals.values():
        low, high, falls = of.year_ago.min(axis=0), of.year_ago.max(axis=0), of.probability_of_fall()
        for at, period in enumerate(of.labels):
            for column, series in enumerate(of.series):
                fall[series, period] = float(falls[at, column])
                # Beyond twelve months the year before is itself a forecast: there is no one value of it.
                if low[at, column] == high[at, column]:
                    year_ago[series, period] = float(low[at, column])
    return ViewContext(
        outlook.dataset.catalogue,
        {
            one: LastValue(str(y.index[-1]), float(y.iloc[-1]), str(stages.get((one, y.index[-1]), "")))
            for one, y in known.items()
            if len(y)
        },
        year_ago,
        fall,
        {one: y.iloc[-24:].tolist() for one, y in known.items()},
        outlook.vintage,
        outlook.remarks,
        calibration,
        source_line,
    )


# --- Forecasts


def forecast_view(table: pd.DataFrame, context: ViewContext, coverages: Sequence[int], width: int) -> Group:
    """The forecast table for reading: a block a series, quarters and fiscal years first, then months."""
    from rich.console import Group

    open_ = table[table["step"] >= 1]
    scenarios = list(dict.fromkeys(open_["scenario"]))
    blocks: list[Any] = [_head(open_, context, coverages)]
    for series, rows in open_.groupby("series", sort=False):
        blocks += [_text(""), *_series_head(str(series), context, width)]
        for scenario, part in rows.groupby("scenario", sort=False):
            if len(scenarios) > 1:
                blocks.append(_text(f"Scenario: {scenario}", "bold"))
            own = context if scenario == scenarios[0] else _without_falls(context)
            blocks.append(_rows_table(_Rows(str(series), part, own, tuple(coverages), width)))
    return Group(*blocks, _text(""), *_foot(context))


def _without_falls(context: ViewContext) -> ViewContext:
    # The probabilities belong to the first scenario.
    return replace(context, fall={})


def _head(table: pd.DataFrame, context: ViewContext, coverages: Sequence[int]) -> Text:
    models = ", ".join(dict.fromkeys(map(str, table["model"])))
    cutoffs = sorted({str(one) for one in table["cutoff"]})
    upto = " to ".join(_month(one) for one in dict.fromkeys([*cutoffs[:1], *cutoffs[-1:]]))
    vintage = f" (data vintage {context.vintage})" if context.vintage else ""
    first, *others = coverages
    more = "".join(f", {one} inside the {one} % one" for one in others)
    meaning = (
        f"Of 100 figures forecast like this, about {first} should fall inside their {first} % interval{more}."
    )
    head = f"Forecast by {models} from figures published until {upto}{vintage}.\n"
    return _text(head, "bold") + _text(meaning)


def _foot(context: ViewContext) -> list[Text]:
    lines = [*filter(None, [context.calibration]), *context.remarks, context.source_line]
    return [_text(line, "dim") for line in dict.fromkeys(lines)]


def _series_head(series: str, context: ViewContext, width: int) -> Iterator[Text]:
    title = context.title(series)
    yield _text(title, "bold cyan") + (_text(f"  {series}", "dim") if series != title else _text(""))
    last = context.last.get(series)
    if last is None:
        return
    unit = context.catalogue[series].unit if series in context.catalogue else ""
    stage = f" ({last.stage.replace('_', ' ')})" if last.stage else ""
    line = f"Last published: {_month(last.month)}, {say(unit, last.value)}{stage}"
    drawn = sparkline(context.history.get(series, ())[-24:])
    yield _text(f"{line}   {drawn}" if drawn and len(line) + len(drawn) + 3 <= width else line)


@dataclass(frozen=True)
class _Rows:
    """The rows of one series and scenario, and how much of them fits."""

    series: str
    table: pd.DataFrame
    context: ViewContext
    coverages: tuple[int, ...]
    width: int

    @property
    def stacked(self) -> bool:
        """Too narrow for a column an interval: they stand below one another."""
        return self.width < ROW + INTERVAL * len(self.coverages)

    @property
    def change_interval(self) -> bool:
        columns = 1 if self.stacked else len(self.coverages)
        return self.width >= ROW + INTERVAL * columns + CHANGE

    @property
    def levels(self) -> pd.DataFrame:
        return self.table[self.table["unit"] == self.table["unit"].iloc[0]]

    def change(self, row: Mapping[Any, Any]) -> str:
        """The change on a year earlier, with its interval where that fits."""
        middle, low, high = self._changes(row)
        if not self.change_interval or math.isnan(middle):
            return percent(middle)
        decimals = 0 if max(abs(low), abs(high)) >= 10 else 1
        return f"{percent(middle)} ({_bare(low, decimals)} to {_bare(high, decimals)})"

    def _changes(self, row: Mapping[Any, Any]) -> list[float]:
        """Percent for median, low and high: from growth rows where there are any, else on the known value."""
        names = ("q50", *COVERAGES[self.coverages[0]])
        entry = self.context.catalogue.get(self.series)
        if row["unit"] == "pct_yoy" or (entry and entry.formula == "difference"):
            return [math.nan] * 3  # a percentage of a deficit says nothing
        same = (self.table["period"] == row["period"]) & (self.table["kind"] == row["kind"])
        grown = self.table[same & (self.table["unit"] == "pct_yoy")]
        if len(grown):
            return [float(grown.iloc[0][name]) for name in names]
        before = self.context.year_ago.get((self.series, str(row["period"])), math.nan)
        return [100 * (row[name] / before - 1) if before > 0 else math.nan for name in names]


def _bare(value: float, decimals: int) -> str:
    return percent(value, decimals).removesuffix(" %")


def _rows_table(rows: _Rows) -> Table:
    table = _plain_table(
        ("", "left"),
        ("median", "right"),
        *_interval_columns(rows),
        (
            f"on a year earlier\n({rows.coverages[0]} % interval)"
            if rows.change_interval
            else "on a year\nearlier",
            "right",
        ),
        ("chance\nof a fall", "right"),
    )
    levels = rows.levels
    totals, months = levels[levels["kind"] != "month"], levels[levels["kind"] == "month"]
    for part, said, style in ((totals, "Quarters", "bold"), (months, "Months", "")):
        if len(part):
            _add_part(table, rows, part, said, style)
    return table


def _interval_columns(rows: _Rows) -> list[tuple[str, str]]:
    if rows.stacked:
        return [("interval" if len(rows.coverages) > 1 else f"{rows.coverages[0]} % interval", "right")]
    return [(f"{one} % interval", "right") for one in rows.coverages]


def _add_part(table: Table, rows: _Rows, part: pd.DataFrame, name: str, style: str) -> None:
    unit = str(part["unit"].iloc[0])
    scale = scale_of(unit, part["q50"].tolist())
    table.add_row(_text(f"{name}, {scale.label or unit}", "italic dim"))
    for row in part.to_dict("records"):
        fall = rows.context.fall.get((rows.series, str(row["period"])), math.nan)
        table.add_row(
            _text(_period(row), style),
            _text(scale.number(row["q50"]), style),
            *_intervals(rows, row, scale),
            _text(rows.change(row)),
            _text(_chance(fall)),
        )


def _intervals(rows: _Rows, row: Mapping[Any, Any], scale: Scale) -> list[Text]:
    said = {
        one: f"{scale.number(row[COVERAGES[one][0]])} to {scale.number(row[COVERAGES[one][1]])}"
        for one in rows.coverages
    }
    if not rows.stacked:
        return [_text(one) for one in said.values()]
    named = [f"{one} %: {text}" for one, text in said.items()] if len(said) > 1 else list(said.values())
    return [_text("\n").join([_text(one) for one in named])]


def _period(row: Mapping[Any, Any]) -> str:
    period, kind = str(row["period"]), str(row["kind"])
    months, known = MONTHS_OF[kind], int(row["observed_months"])
    partly = f", {known}/{months} known" if 0 < known < months else ""
    if kind == "month":
        return _month(period)
    if kind == "quarter":
        year, _, quarter = period.partition("Q")
        return f"{QUARTERS[int(quarter) - 1]} {year}{partly}"
    return f"{period} (Apr–Mar){partly}"


def _month(text: str) -> str:
    year, _, month = text.partition("-")
    return f"{MONTHS[int(month) - 1]} {year}" if month.isdigit() and 1 <= int(month) <= 12 else text


def _chance(share: float) -> str:
    if math.isnan(share):
        return "–"
    # 2,000 paths cannot tell nearly certain from certain.
    return "<1 %" if share < 0.01 else ">99 %" if share > 0.99 else f"{100 * share:.0f} %"


# --- Series, lists, findings


def sparkline(values: Iterable[float]) -> str:
    """A line of blocks from the least to the greatest value; a blank where nothing is known."""
    y = np.array(list(values), dtype=float)
    known = y[np.isfinite(y)]
    if not len(known):
        return ""
    low, reach = known.min(), float(known.max() / 2 - known.min() / 2)
    if reach == 0:
        return "".join(BLOCKS[3] if math.isfinite(one) else " " for one in y)
    return "".join(
        BLOCKS[min(int((one / 2 - low / 2) / reach * 8), 7)] if math.isfinite(one) else " " for one in y
    )


def series_view(series: Series, observations: pd.DataFrame, width: int, months: int = 24) -> Group:
    """One series: what it is, a sparkline, and its last months with change, stage and source, newest last."""
    from rich.console import Group

    rows = observations.sort_values("month")
    y = pd.Series(rows["value"].to_numpy(dtype=float), index=pd.PeriodIndex(rows["month"], freq="M"))
    shown = rows.iloc[-months:]
    table = _plain_table(
        ("month", "left"),
        (series.unit, "right"),
        ("on a year earlier", "right"),
        ("stage", "left"),
        ("source", "left"),
    )
    for month, value, stage, source in shown[["month", "value", "stage", "source"]].itertuples(index=False):
        before = y.get(pd.Period(month, "M") - 12, math.nan)
        change = 100 * (value / before - 1) if before > 0 else math.nan
        table.add_row(
            *(_text(one) for one in (str(month), f"{value:,.12g}", percent(change))),
            _text(str(stage).replace("_", " ")),
            _text(str(source), "dim"),
        )
    line = sparkline(y.iloc[-min(len(y), max(width - 20, 12)) :])
    reach = f"{len(y)} months, {y.index[0]} to {y.index[-1]}" if len(y) else "no value"
    about = [series.publisher, f"HS {series.hs_code}" if series.hs_code else "", reach]
    head = [
        _text(series.title, "bold cyan"),
        _text(f"{series.id}  ({series.unit})", "dim"),
        _text("; ".join(filter(None, about))),
    ]
    last = [_text(f"Last: {_month(str(y.index[-1]))}, {say(series.unit, y.iloc[-1])}")] if len(y) else []
    return Group(*head, *last, _text(line), _text(""), table)


def list_view(summary: pd.DataFrame, width: int = 100) -> Group:
    """A table of series; where it is narrow, ids stand under their titles."""
    name = next((one for one in ("series", "id") if one in summary.columns), None)
    foot = f"{len(summary)} series"
    if name is None or "title" not in summary.columns or width >= 150:
        return table_view("", summary, foot)
    both = summary["title"].astype(str) + "\n" + summary[name].astype(str)
    rest = summary.drop(columns=[name, "title"])
    rest.insert(0, "series", both)
    return table_view("", rest, foot)


def findings_view(title: str, findings: pd.DataFrame, width: int = 100) -> Group:
    """Findings with their severity, where, what and advice; any other table as it is."""
    from rich.console import Group

    if findings.empty:
        return Group(_text(title, "bold"), _text("Nothing found."))
    if not {"severity", "found"} <= set(findings.columns):
        return table_view(title, findings)
    table = _plain_table(("", "left"), ("where", "left"), ("found", "left"))
    for row in findings.astype(object).where(findings.notna(), "").to_dict("records"):
        where = [str(row.get(name, "")) for name in ("series", "month")]
        what = _text(str(row["found"]))
        if advice := str(row.get("advice", "")):
            what += _text("\n") + _text(advice, "dim")
        severity = str(row["severity"])
        table.add_row(
            _text(severity, SEVERITY_STYLES.get(severity, "")),
            _text("\n").join(_text(one) for one in where if one),
            what,
        )
    counts = findings["severity"].value_counts(sort=False)
    return Group(
        _text(title, "bold"),
        table,
        _text(", ".join(f"{many} {name}{'s' * (many != 1)}" for name, many in counts.items())),
    )


def table_view(title: str, table: pd.DataFrame, foot: str = "") -> Group:
    """Any table: numbers to the right, missing cells as a dash; wide columns are folded, none is cut."""
    from rich.console import Group

    numeric = {name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])}
    shown = _plain_table(*((_words(name), "right" if name in numeric else "left") for name in table.columns))
    rows = [[_cell(cell) for cell in cells] for cells in table.itertuples(index=False)]
    for row in rows:
        shown.add_row(*map(_text, row))
    return Group(*([_text(title, "bold")] if title else []), shown, *([_text(foot, "dim")] if foot else []))


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def _cell(cell: object) -> str:
    if pd.isna(cell):  # type: ignore[call-overload]
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.6g}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _plain_table(*columns: tuple[str, str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for name, justify in columns:
        table.add_column(_text(name), justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def _text(text: str, style: str = "") -> Text:
    """Text without markup and without control characters but for line breaks."""
    from rich.text import Text

    return Text(re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", text), style=style)
