"""What a person reads in the terminal: forecasts, series, lists and findings as rich tables.

Every text goes through ``Text``, never through rich's markup, and loses its control characters: titles come
from users' files. rich is imported inside the functions, so that ``--help`` answers at once.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecasting.catalogue import Series
from forecasting.forecast import COVERAGES
from forecasting.periods import MONTHS_OF, quarter_words
from forecasting.scenario import BASELINE
from forecasting.units import Scale, percent, say, scale_of
from forecasting.workflow import SOURCE_LINE

if TYPE_CHECKING:
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from forecasting.workflow import Outlook

BLOCKS = "▁▂▃▄▅▆▇█"
BLANKS = "\n\xa0\u202f\u3000"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
VERDICT_STYLES = {"agrees": "green", "conflicts": "bold red", "untestable": "yellow"}
MEASURES = {"yoy_pct": ", on a year earlier", "share_pct": ", share"}
HEADLINE = "*"
# Widths in letters: a row without intervals, the column of one interval, the interval of the change.
ROW, INTERVAL, CHANGE = 60, 20, 20
# The list: letters of an id and its mark, then the columns at its right.
LIST_ID = 47
LIST_COLUMNS = (("unit", 21, "left"), ("span", 17, "left"), ("months", 6, "right"), ("gaps", 4, "right"))


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
        blocks += [plain(""), *_series_head(str(series), context, width)]
        for scenario, part in rows.groupby("scenario", sort=False):
            if len(scenarios) > 1:
                blocks.append(plain(f"Scenario: {scenario}", "bold"))
            own = context if scenario == scenarios[0] else _without_falls(context)
            blocks.append(_rows_table(_Rows(str(series), part, own, tuple(coverages), width)))
    return Group(*blocks, plain(""), *_foot(context))


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
    meaning = f"Of 100 figures forecast like this, about {first} should fall inside their {first} % interval{more}."
    if (open_scenario := str(table["scenario"].iloc[0])) != BASELINE:
        meaning = f"This is the {open_scenario} of scenarios: its intervals hold as far as their probabilities do."
    head = f"Forecast by {models} from figures published until {upto}{vintage}.\n"
    return plain(head, "bold") + plain(meaning)


def _foot(context: ViewContext) -> list[Text]:
    lines = [*filter(None, [context.calibration]), *context.remarks, context.source_line]
    return [plain(line, "dim") for line in dict.fromkeys(lines)]


def _series_head(series: str, context: ViewContext, width: int) -> Iterator[Text]:
    title = context.title(series)
    yield plain(title, "bold cyan") + (plain(f"  {series}", "dim") if series != title else plain(""))
    last = context.last.get(series)
    if last is None:
        return
    unit = context.catalogue[series].unit if series in context.catalogue else ""
    stage = f" ({last.stage.replace('_', ' ')})" if last.stage else ""
    line = f"Last published: {_month(last.month)}, {say(unit, last.value)}{stage}"
    drawn = sparkline(context.history.get(series, ())[-24:])
    yield plain(f"{line}   {drawn}" if drawn and len(line) + len(drawn) + 3 <= width else line)


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
    table = plain_table(
        ("", "left"),
        ("median", "right"),
        *_interval_columns(rows),
        (
            f"on a year earlier\n({rows.coverages[0]} % interval)" if rows.change_interval else "on a year\nearlier",
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
    table.add_row(plain(f"{name}, {scale.label or unit}", "italic dim"))
    for row in part.to_dict("records"):
        fall = rows.context.fall.get((rows.series, str(row["period"])), math.nan)
        table.add_row(
            plain(period_words(row), style),
            plain(scale.number(row["q50"]), style),
            *_intervals(rows, row, scale),
            plain(rows.change(row)),
            plain(chance(fall)),
        )


def _intervals(rows: _Rows, row: Mapping[Any, Any], scale: Scale) -> list[Text]:
    said = {
        one: f"{scale.number(row[COVERAGES[one][0]])} to {scale.number(row[COVERAGES[one][1]])}"
        for one in rows.coverages
    }
    if not rows.stacked:
        return [plain(one) for one in said.values()]
    named = [f"{one} %: {text}" for one, text in said.items()] if len(said) > 1 else list(said.values())
    return [plain("\n").join([plain(one) for one in named])]


def period_words(row: Mapping[Any, Any]) -> str:
    period, kind = str(row["period"]), str(row["kind"])
    months, known = MONTHS_OF[kind], int(row["observed_months"])
    partly = f", {known}/{months} known" if 0 < known < months else ""
    if kind == "month":
        return _month(period)
    if kind == "quarter":
        return f"{quarter_words(period)}{partly}"
    return f"{period} (Apr–Mar){partly}"


def _month(text: str) -> str:
    year, _, month = text.partition("-")
    return f"{MONTHS[int(month) - 1]} {year}" if month.isdigit() and 1 <= int(month) <= 12 else text


def chance(share: float) -> str:
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
    return "".join(BLOCKS[min(int((one / 2 - low / 2) / reach * 8), 7)] if math.isfinite(one) else " " for one in y)


def series_view(series: Series, observations: pd.DataFrame, width: int, months: int = 24) -> Group:
    """One series: what it is, a sparkline, and its last months with change, stage and source, newest last."""
    from rich.console import Group

    rows = observations.sort_values("month")
    y = pd.Series(rows["value"].to_numpy(dtype=float), index=pd.PeriodIndex(rows["month"], freq="M"))
    sources = list(dict.fromkeys(rows["source"].astype(str)))
    head = [
        plain(series.title, "bold cyan"),
        plain(f"{series.id}  ({series.unit})", "dim"),
        plain("; ".join(filter(None, [series.publisher, f"HS {series.hs_code}" if series.hs_code else "", _reach(y)]))),
    ]
    if len(sources) == 1:
        head.append(plain(f"Source: {sources[0]}" if not series.derived else sources[0].capitalize()))
    if len(y):
        head.append(plain(f"Last: {_month(str(y.index[-1]))}, {say(series.unit, y.iloc[-1])}"))
        head.append(_drawn(y, width))
    return Group(*head, plain(""), _months_table(series, rows.iloc[-months:], y, len(sources) > 1))


def _reach(y: pd.Series) -> str:
    return f"{len(y)} months, {y.index[0]} to {y.index[-1]}" if len(y) else "no value"


def _drawn(y: pd.Series, width: int) -> Text:
    """The whole series as a sparkline: a block a month or, where these do not fit, a year; a gap stays a gap."""
    whole = y.reindex(pd.period_range(y.index[0], y.index[-1], freq="M"))
    if len(whole) <= width:
        return plain(sparkline(whole))
    years = whole.groupby(pd.PeriodIndex(whole.index).year).mean()
    said = f"  means of the years {years.index[0]} to {years.index[-1]}"
    return plain(sparkline(years.iloc[-max(width - len(said), 1) :])) + plain(said, "dim")


def _months_table(series: Series, rows: pd.DataFrame, y: pd.Series, sources: bool) -> Table:
    names = [("month", "left"), (series.unit, "right"), ("on a year earlier", "right"), ("stage", "left")]
    table = plain_table(*names, *([("source", "left")] if sources else []))
    digits = 6 if series.formula == "ratio" else 12
    for month, value, stage, source in rows[["month", "value", "stage", "source"]].itertuples(index=False):
        before = y.get(pd.Period(month, "M") - 12, math.nan)
        # A percentage of a deficit says nothing.
        change = 100 * (value / before - 1) if before > 0 and series.formula != "difference" else math.nan
        cells = [str(month), f"{value:,.{digits}g}", percent(change), str(stage).replace("_", " ")]
        table.add_row(*map(plain, cells), *([plain(str(source), "dim")] if sources else []))
    return table


def list_view(summary: pd.DataFrame, width: int) -> Group:
    """The rows of ``summarise``: a block a series, its id whole wherever the terminal is as wide."""
    from rich.console import Group

    # Where units have no column they open the last line of the block.
    shown = LIST_COLUMNS if width >= LIST_ID + sum(2 + size for _, size, _ in LIST_COLUMNS) else LIST_COLUMNS[1:]
    blocks: list[Any] = [_list_line(plain("  series", "dim"), [plain(name, "dim") for name, *_ in shown], width)]
    for row in summary.to_dict("records"):
        blocks += _list_block(row, len(shown), width)
    computed = int((summary["formula"] != "").sum())
    foot = f"{len(summary)} series: {len(summary) - computed} stored, {computed} computed."
    marked = f" Those marked {HEADLINE} are forecast when none is named." if summary["headline"].any() else ""
    return Group(*blocks, plain(foot + marked, "dim"))


def _list_block(row: Mapping[Any, Any], columns: int, width: int) -> Iterator[Any]:
    """Id and numbers, title, then what it is made of; an id too long for its column stands alone."""
    unit, series, made = str(row["unit"]), str(row["series"]), str(row["stages"]).replace("_", " ")
    span = f"{row['first']} … {row['last']}" if row["months"] else "no value"
    numbers = [plain(one) for one in (unit, span, f"{row['months']:,}", str(row["gaps"] or "–"))][-columns:]
    name = plain(f"{HEADLINE if row['headline'] else ' '} ") + plain(series, "bold" if row["headline"] else "")
    title = plain("" if row["title"] == series else str(row["title"]), "dim")
    if name.cell_len <= _list_room(columns, width):
        yield _list_line(name, numbers, width)
        if title.plain:
            yield _indented(title)
    else:
        yield name
        yield _list_line(_indented(title), numbers, width)
    made = f"computed: {row['formula']}" if row["formula"] else made
    if rest := "; ".join(filter(None, [unit if columns < len(LIST_COLUMNS) else "", made])):
        yield _indented(plain(rest, "dim"))


def _list_room(columns: int, width: int) -> int:
    return max(width - sum(2 + size for _, size, _ in LIST_COLUMNS[-columns:]), 10)


def _list_line(first: Text | Padding, numbers: Sequence[Text], width: int) -> Table:
    """A line of the list, its numbers in columns of their own at the right."""
    from rich.table import Table

    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=_list_room(len(numbers), width), overflow="fold")
    for _, size, justify in LIST_COLUMNS[-len(numbers) :]:
        line.add_column(width=size, justify=justify, overflow="fold")  # type: ignore[arg-type]
    line.add_row(first, *numbers)
    return line


def _indented(line: Text) -> Padding:
    from rich.padding import Padding

    return Padding(line, (0, 0, 0, 4))


def findings_view(title: str, findings: pd.DataFrame, width: int) -> Group:
    """Findings by severity and advice, each with where and what."""
    from rich.console import Group

    if findings.empty:
        return Group(plain(title, "bold"), plain("Nothing found."))
    table = plain_table(("", "left"), ("", "left"), header=False)
    rows = findings.astype(object).where(findings.notna(), "").astype(str)
    for (severity, advice), part in rows.groupby(["severity", "advice"], sort=False):
        lines = [
            packed([(str(series), ""), (_months_of(list(same["month"])), ""), (str(found), "")], width - 11)
            for (series, found), same in part.groupby(["series", "found"], sort=False)
        ]
        more = [plain(f"→ {advice}", "dim")] if advice else []
        table.add_row(plain(str(severity), SEVERITY_STYLES.get(str(severity), "")), plain("\n").join([*lines, *more]))
    counts = findings["severity"].value_counts(sort=False)
    said = ", ".join(f"{many} {name}{'s' * (many != 1)}" for name, many in counts.items())
    return Group(plain(title, "bold"), table, plain(said))


def _months_of(months: list[str]) -> str:
    """The month, or from when to when the same was found how often."""
    return f"{min(months)} … {max(months)} ({len(months)} times)" if len(months) > 1 else months[0]


def facts_view(title: str, facts: pd.DataFrame, width: int) -> Group:
    """The rows of ``check_facts``: each fact with its verdict, what was printed and what the tables say, and why."""
    from rich.console import Group

    table = plain_table(("", "left"), ("", "left"), header=False)
    room, column = width - 2 - int(facts["fact"].str.len().max()), 2 + max(map(len, VERDICT_STYLES))
    for row in facts.to_dict("records"):
        verdict = plain(row["verdict"].ljust(column), VERDICT_STYLES.get(row["verdict"], ""))
        pieces = [(row["series"], ""), (_measured(row), ""), (_why(row), "dim")]
        table.add_row(plain(row["fact"], "bold"), verdict + packed(pieces, room, column))
    return Group(plain(title, "bold"), table, plain(_counted(facts)))


def _measured(row: Mapping[Any, Any]) -> str:
    """What was printed of which months, and what the tables give to one digit more."""
    unit = "%" if row["unit"] == "percent" else row["unit"]
    digits = len(str(row["printed"]).partition(".")[2]) + 1
    table = f", tables {row['table']:,.{digits}f}" if math.isfinite(row["table"]) else ""
    return f"{row['period']}{MEASURES.get(row['measure'], '')}: printed {row['printed']} {unit}{table}"


def _why(row: Mapping[Any, Any]) -> str:
    meant = f"would agree: {row['reading']}" if row["reading"] else ""
    against = f"contradicts {row['contradicts']}" if row["contradicts"] else ""
    return "; ".join(filter(None, [row["how"], meant, row["remark"], against]))


def _counted(facts: pd.DataFrame) -> str:
    verdicts = facts["verdict"].value_counts()
    agree, revised = verdicts.get("agrees", 0), int(facts["how"].str.startswith("revision").sum())
    return (
        f"{len(facts)} facts: {agree - revised} agree within rounding or truncation, {revised} within revisions,"
        f" {verdicts.get('conflicts', 0)} conflict, {verdicts.get('untestable', 0)} cannot be tested;"
        f" {int((facts['contradicts'] != '').sum())} contradict one another."
    )


def packed(pieces: Iterable[tuple[str, str]], room: int, used: int = 0) -> Text:
    """Pieces of text and their styles, as many on a line as fit whole; further lines are indented."""
    packed = plain("")
    for text, style in pieces:
        gap = "  " if packed.plain else ""
        if used + len(gap + text) > room:
            packed += plain("\n" if used else "")
            wrapped = textwrap.wrap(text, room - 2, break_long_words=False, break_on_hyphens=False)
            gap, text = "  " if used else "", "\n  ".join(wrapped)
            used = 0
        packed, used = packed + plain(gap) + plain(text, style), used + len(gap + text.rpartition("\n")[2])
    return packed


def table_view(title: str, table: pd.DataFrame, foot: str = "") -> Group:
    """Any table: numbers to the right, missing cells as a dash; wide columns are folded, none is cut."""
    from rich.console import Group

    numeric = {name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])}
    shown = plain_table(*((_words(name), "right" if name in numeric else "left") for name in table.columns))
    rows = [[_cell(cell) for cell in cells] for cells in table.itertuples(index=False)]
    for row in rows:
        shown.add_row(*map(plain, row))
    return Group(*([plain(title, "bold")] if title else []), shown, *([plain(foot, "dim")] if foot else []))


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def _cell(cell: object) -> str:
    if pd.isna(cell):  # type: ignore[call-overload]
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.6g}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def plain_table(*columns: tuple[str, str], header: bool = True) -> Table:
    from rich.table import Table

    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False, show_header=header
    )
    for name, justify in columns:
        table.add_column(plain(name), justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def plain(text: str, style: str = "") -> Text:
    """Text without markup, and without any character that moves or turns what stands around it, but for line breaks."""
    from rich.text import Text

    return Text("".join(one if one.isprintable() or one in BLANKS else " " for one in text), style=style)
