"""What a person reads of the store: what came, where from, what was revised, who differs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecasting.cli.progress import Bar
from forecasting.cli.terminal import packed, plain, plain_table, table_view
from forecasting.units import percent, scale_of
from forecasting.update import Came, Compared, Offer, Revised, Updated
from forecasting.vintages import Revisions

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

SHOWN_REVISIONS = 12


class Fetching(Bar):
    """``with Fetching() as told``: file after file, told (address, bytes so far, bytes in all)."""

    address = ""

    def columns(self) -> tuple[Any, ...]:
        from rich.progress import BarColumn, DownloadColumn, TextColumn

        return TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn()

    def __call__(self, address: str, done: int, whole: int | None) -> None:
        if address != self.address:
            self.address = address
            self.begin(address[-60:], whole)
        self.show(done, whole, f"{address}: {done:,} bytes")


# --- What came -------------------------------------------------------------------------------------------


def updated_view(done: Updated, width: int) -> Group:
    """A line a source, what changed among known months, and what was assumed or went wrong."""
    from rich.console import Group

    table = plain_table(("source", "left"), ("files", "right"), ("last month", "left"), ("what came", "left"))
    for one in done.came:
        table.add_row(plain(one.source), plain(str(one.files)), plain(one.last or "–"), plain(_came(one)))
    said = [plain(f"{one.source}: {line}", "dim") for one in done.came for line in one.remarks]
    wrong = [plain(f"{one.source}: {one.error}", "bold red") for one in done.came if one.error]
    return Group(table, *_revised(done.added, width), *_replaced(done.replaced, width), *said, *wrong)


def _came(one: Came) -> str:
    words = (
        ("new", "new"),
        ("revised", "revised"),
        ("confirmed", "confirmed"),
        ("other source", "of months known from another source"),
    )
    found = [f"{one.rows[kind]:,} {word}" for kind, word in words if one.rows.get(kind)]
    failed = ["failed"] if one.error else []
    return ", ".join(found + failed) or one.skipped or "nothing new"


def _revised(added: pd.DataFrame, width: int) -> Iterator[Text]:
    revised = added[added["kind"] == "revised"] if len(added) else added
    if not len(revised):
        return
    yield plain("")
    yield plain("Revised", "bold")
    for row in revised.tail(SHOWN_REVISIONS).to_dict("records"):
        value = f"{_exact(row['value'])} {row['unit']}"
        yield packed([(row["series"], ""), (str(row["month"]), ""), (value, ""), (row["stage"], "dim")], width)
    if len(revised) > SHOWN_REVISIONS:
        yield plain(f"and {len(revised) - SHOWN_REVISIONS:,} more: tradecast data revisions SERIES", "dim")


def _replaced(replaced: pd.DataFrame, width: int) -> Iterator[Text]:
    """Months for which another source's figure stands now, those that differ most."""
    if not len(replaced):
        return
    change = (replaced["now"] / replaced["was"].where(replaced["was"] != 0) - 1).abs().fillna(np.inf)
    order = change.sort_values(ascending=False, kind="stable").index
    yield plain("")
    yield plain("Another source's figure stands now", "bold")
    for row in replaced.loc[order[:SHOWN_REVISIONS]].to_dict("records"):
        value = f"{_exact(row['was'])} → {_exact(row['now'])} {row['unit']}"
        if row["was"]:
            value += f" ({percent(100 * (row['now'] / row['was'] - 1), 2)})"
        yield packed([(row["series"], ""), (str(row["month"]), ""), (value, ""), (row["source"], "dim")], width)
    if len(replaced) > SHOWN_REVISIONS:
        yield plain(f"and {len(replaced) - SHOWN_REVISIONS:,} more: tradecast data compare SERIES", "dim")


def _exact(value: float) -> str:
    """A figure with every digit that was published."""
    return f"{value:,.12g}"


# --- Sources ---------------------------------------------------------------------------------------------


def sources_view(offers: Iterable[Offer], width: int) -> Group:
    """A block a source."""
    from rich.console import Group

    blocks: list[Any] = []
    for one in offers:
        kept = f"{one.rows:,} values to {one.last}" if one.rows else "nothing kept yet"
        asked = f"last asked {one.asked}" if one.asked else "never asked"
        pieces = [(f"{one.series:,} series", ""), (one.key, ""), (asked, ""), (kept, "")]
        head = plain(one.name, "bold") + plain(f"  {one.title}")
        blocks += [head, packed(pieces, width), plain(one.licence, "dim"), plain(one.attribution, "dim"), plain("")]
    return Group(*blocks[:-1])


# --- Revisions -------------------------------------------------------------------------------------------


def revisions_view(found: Revised, months: int) -> Group:
    """Releases month by month, then mean and spread by stage, then what the tests say."""
    from rich.console import Group

    entry, released = found.entry, found.released
    blocks: list[Any] = [plain(entry.title, "bold") + plain(f"  {entry.id}", "dim")]
    if len(released):
        blocks.append(table_view("", _releases(released, entry.unit, months)))
    if found.tests:
        blocks += [plain(""), table_view("Revisions to what is known now, %", pd.DataFrame(_tests(found.tests)))]
        blocks += [plain(line) for one in found.tests for line in _meaning(one)]
    return Group(*blocks, *(plain(line) for line in found.remarks), plain(found.source_line, "dim"))


def _releases(released: pd.DataFrame, unit: str, months: int) -> pd.DataFrame:
    last = sorted(released["month"].unique())[-months:]
    rows = released[released["month"].isin(last)].sort_values(["month", "release"])
    scale = scale_of(unit, rows["value"])
    before = rows.groupby("month")["value"].shift()
    change = 100 * (rows["value"] / before.where(before != 0) - 1)
    return pd.DataFrame(
        {
            "month": rows["month"].astype(str),
            "known": rows["known"].dt.strftime("%Y-%m-%d"),
            "stage": rows["stage"],
            scale.label: [scale.number(one) for one in rows["value"]],
            "revised by": ["" if math.isnan(one) else percent(one, 2) for one in change],
            "source": rows["source"],
        }
    )


def _tests(tests: Iterable[Revisions]) -> Iterator[dict[str, object]]:
    for one in tests:
        yield {
            "from": one.stage, "months": one.months, "mean": f"{one.mean:+.2f}",
            "spread": "–" if math.isnan(one.spread) else f"{one.spread:.2f}",
            "mean size": f"{one.mean_absolute:.2f}", "p of no bias": _p(one.p), "p of news": _p(one.news_p),
            "p of noise": _p(one.noise_p),
        }  # fmt: skip


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _meaning(one: Revisions) -> Iterator[str]:
    if not math.isnan(one.p):
        biased = (
            f"first figures are revised {'up' if one.mean > 0 else 'down'} on average" if one.p < 0.05 else "no bias"
        )
        yield f"{one.stage}: {biased} at 5 % (t {one.t:+.1f})."
    if not math.isnan(one.news_p):
        foretold = "the first figure foretells its revision" if one.news_p < 0.05 else "revisions cannot be foretold"
        yield f"{one.stage}: {foretold} (Mankiw and Shapiro, in growth on a year earlier)."


# --- Side by side ----------------------------------------------------------------------------------------


def compare_view(found: Compared, months: int) -> Group:
    """Months down, sources across with their difference from the one that stands, and why it does."""
    from rich.console import Group

    entry, values = found.entry, found.values
    shown = values.iloc[-months:].dropna(axis=1, how="all")
    scale = scale_of(entry.unit, values.to_numpy().ravel()).telling_apart(shown.to_numpy())
    head = plain(entry.title, "bold") + plain(f"  {entry.id}, {scale.label}", "dim")
    table = plain_table(("month", "left"), *((name, "right") for name in map(str, shown.columns)), ("stands", "left"))
    for month, row in shown.iterrows():
        chosen = str(found.standing.get(month, "–"))
        base = row.get(chosen, math.nan)
        cells = [_beside(scale.number(value), value, base, str(name) == chosen) for name, value in row.items()]
        table.add_row(plain(str(month)), *map(plain, cells), plain(chosen))
    lines = [found.why, *found.remarks]
    return Group(head, table, *map(plain, lines), plain(found.source_line, "dim"))


def _beside(text: str, value: float, base: float, chosen: bool) -> str:
    if chosen or math.isnan(value) or math.isnan(base) or base == 0:
        return text
    return f"{text} ({percent(100 * (value / base - 1), 2)})"
