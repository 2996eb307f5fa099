"""What a person reads of scenarios in the terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forecasting.cli.terminal import chance, period_words, plain, plain_table
from forecasting.forecast import COVERAGES
from forecasting.scenario import BASELINE, NOTHING, RELATIVE, months_in_words
from forecasting.tables import DIFFERENCE, differences
from forecasting.units import Scale, percent, scale_of

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from forecasting.catalogue import Catalogue
    from forecasting.conditioning import Plausibility
    from forecasting.replay import Replayed
    from forecasting.scenario import Assumption, Scenario
    from forecasting.scenario_odds import Mixed, Verdict
    from forecasting.stress import Stress

TOTALS = ("quarter", "fiscal_year")


# --- Differences


def differences_view(
    table: pd.DataFrame, catalogue: Catalogue, coverages: Sequence[int], width: int, months: bool = False
) -> Group:
    """Each series that changes: its totals under each scenario, beside the baseline, and the difference."""
    from rich.console import Group

    kinds = (*TOTALS, "month") if months else TOTALS
    levels = table[table["unit"] != "pct_yoy"]
    gaps = levels[levels["kind"].isin([f"{kind}{DIFFERENCE}" for kind in kinds])]
    moved = differences(gaps)
    blocks: list[Any] = []
    for series in dict.fromkeys(moved["series"]):
        one = str(series)
        blocks += [plain(""), plain(catalogue[one].title, "bold cyan") + plain(f"  {one}", "dim")]
        blocks.append(_difference_table(one, levels, moved[moved["series"] == series], coverages[0]))
    blocks += [plain(""), *(plain(line) for line in _unchanged(gaps, moved))]
    return Group(*blocks)


def _difference_table(series: str, levels: pd.DataFrame, moved: pd.DataFrame, coverage: int) -> Table:
    low, high = COVERAGES[coverage]
    unit = str(moved["unit"].iloc[0])
    own = levels[levels["series"] == series]
    size = own[own["kind"].isin(TOTALS)]["q50"].tolist() or own["q50"].tolist()
    scale = scale_of(unit, size)
    shown = plain_table(
        (scale.label or unit, "left"),
        ("", "left"),
        ("baseline", "right"),
        ("median", "right"),
        (f"{coverage} % interval", "right"),
        ("difference", "right"),
        (f"{coverage} % interval", "right"),
        ("change", "right"),
    )
    fine = _finer(scale, moved["q50"].tolist())
    at = {(row["scenario"], row["kind"], row["period"]): row for row in own.to_dict("records")}
    before: object = None
    order = {name: place for place, name in enumerate(dict.fromkeys(moved["scenario"]))}
    for gap in sorted(moved.to_dict("records"), key=lambda row: (_when(row), order[row["scenario"]])):
        kind = str(gap["kind"]).removesuffix(DIFFERENCE)
        base, now = at[BASELINE, kind, gap["period"]], at.get((gap["scenario"], kind, gap["period"]))
        first = (kind, gap["period"]) != before
        before = (kind, gap["period"])
        change = 100.0 * gap["q50"] / base["q50"] if base["q50"] else float("nan")
        shown.add_row(
            plain(period_words({**gap, "kind": kind}) if first else "", "bold"),
            plain(str(gap["scenario"])),
            plain(scale.number(base["q50"]) if first else ""),
            plain(scale.number(now["q50"]) if now else "–"),
            plain(_span(scale, now[low], now[high]) if now else "–"),
            plain(_signed(fine, gap["q50"])),
            plain(f"{_signed(fine, gap[low])} to {_signed(fine, gap[high])}"),
            plain(percent(change) if now else ""),
        )
    return shown


def _words(kind: str, period: str) -> str:
    return period_words({"kind": kind, "period": period, "observed_months": 0})


def _when(row: Mapping[Any, Any]) -> tuple[int, str]:
    return ("quarter", "fiscal_year", "month").index(str(row["kind"]).removesuffix(DIFFERENCE)), str(row["period"])


def _span(scale: Scale, low: float, high: float) -> str:
    return f"{scale.number(low)} to {scale.number(high)}"


def _signed(scale: Scale, value: float) -> str:
    said = scale.number(value)
    return f"+{said}" if value > 0 and not said.startswith("–") else said


def _finer(scale: Scale, gaps: Sequence[float]) -> Scale:
    """The same scale with as many digits as the differences need."""
    sizes = sorted(abs(one) * scale.factor for one in gaps if one)
    if not sizes or scale.factor == 1.0:
        return scale
    wanted = 1 - math.floor(math.log10(sizes[len(sizes) // 2]))
    return replace(scale, decimals=min(max(scale.decimals, wanted), scale.decimals + 3))


def _unchanged(gaps: pd.DataFrame, moved: pd.DataFrame) -> Iterator[str]:
    for scenario, part in gaps.groupby("scenario", sort=False):
        touched = set(moved[moved["scenario"] == scenario]["series"])
        left = [one for one in dict.fromkeys(part["series"]) if one not in touched]
        if len(left) == part["series"].nunique():
            yield f"{scenario} changes nothing that is shown here."
        elif left:
            yield f"{scenario} leaves the other {len(left)} series shown here as they were."


def contributions_view(table: pd.DataFrame, catalogue: Catalogue) -> Group:
    """What each assumption adds to the mean of each quarter and fiscal year."""
    from rich.console import Group

    blocks: list[Any] = []
    totals = table[table["kind"].isin(TOTALS)]
    for (scenario, series), part in totals.groupby(["scenario", "series"], sort=False):
        acting = part.groupby("assumption", sort=False)["contribution"].transform(lambda of: of.abs().max()) > 0
        wide: pd.DataFrame = part[acting].pivot_table(
            index="assumption", columns=["kind", "period"], values="contribution", sort=False
        )
        if len(wide) < 2:
            continue
        scale = scale_of(str(part["unit"].iloc[0]), np.abs(wide.to_numpy()).max(axis=0).tolist())
        names = [_words(str(of[0]), str(of[1])) for of in wide.columns.to_list()]
        shown = plain_table((scale.label, "left"), *((name, "right") for name in names))
        for name, row in wide.iterrows():
            shown.add_row(plain(str(name)), *(plain(_signed(scale, value)) for value in row))
        shown.add_row(plain("together", "bold"), *(plain(_signed(scale, value), "bold") for value in wide.sum()))
        title = (
            f"What each assumption of {scenario} adds to the mean (above are medians): {catalogue[str(series)].title}"
        )
        blocks += [plain(""), plain(title, "bold"), shown]
    return Group(*blocks)


# --- Scenarios themselves


def scenario_text(one: Scenario, width: int, series: Sequence[str] = ()) -> str:
    """A scenario in words, no line wider than ``width``."""
    chance_of = "" if one.probability is None else f" (probability {100 * one.probability:g} %)"
    lines = [f"{one.name}{chance_of}: {one.description}".rstrip(": ")]
    if not one.assumptions:
        lines.append("  Assumes nothing: it is the baseline.")
    lines += [f"  {line}" for assumption in one.assumptions for line in _assumption(assumption)]
    if series:
        lines.append(f"  Acts on {', '.join(series)}, and on all that holds them.")
    return "\n".join(_wrapped(line, width) for line in lines)


def _wrapped(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _assumption(one: Assumption) -> Iterator[str]:
    size = one.size.words(relative=one.kind in (*RELATIVE, "path"))
    residual = f", {one.residual.words(relative=True)} of that goes on" if one.residual.most else ""
    error = f", each changed by {size}" if one.size != NOTHING else ""
    what = {
        "ban": f"{size} of it banned{residual}",
        "scale": f"changed by {size}",
        "growth": f"{size} on a year earlier",
        "lift": f"{size} of what was lost since {one.since} comes back",
        "shift": f"{size} a month more",
        "cap": f"at most {size} a {one.per.replace('_', ' ')}",
        "floor": f"at least {size} a month",
        "path": f"given month by month: {', '.join(f'{level:g}' for level in one.levels)}{error}",
    }[one.kind]
    until = f" until {one.end}" if one.end is not None else ""
    ramp = f", in full from {one.start + one.ramp}" if one.ramp else ""
    recovery = f", fading over {months_in_words(one.recovery)}" if one.recovery else ""
    name = f"{one.name}: " if one.name else ""
    yield f"{name}{one.target}: {what}, from {one.start}{ramp}{until}{recovery}"
    for to in one.reroute:
        yield f"  {to.share.words(relative=True)} of what is lost goes to {to.way}"
    for through in one.pass_through:
        yield f"  Passed on with elasticity {through.elasticity.words(relative=False)} to {through.way}"
    yield f"  Source: {one.source}" + (f" ({one.measure})" if one.measure else "")


# --- Mixtures, weights, conditions, stress, replays


def shares_view(mixed: Mixed) -> Group:
    """What each scenario brings to the mixture's quarters."""
    from rich.console import Group

    blocks: list[Any] = []
    totals = mixed.shares[mixed.shares["kind"].isin(TOTALS)]
    for series, part in totals.groupby("series", sort=False):
        scale = scale_of(str(part["unit"].iloc[0]), part["mean"].tolist())
        shown = plain_table(
            (scale.label, "left"),
            ("scenario", "left"),
            ("probability", "right"),
            ("its mean", "right"),
            ("adds to the mean", "right"),
            ("of the variance", "right"),
        )
        before = ""
        for row in part.sort_values(["kind", "period"], ascending=[False, True], kind="stable").to_dict("records"):
            period = _words(row["kind"], row["period"])
            numbers = [scale.number(row["mean"]), scale.number(row["of_mean"]), chance(row["of_variance"])]
            first = plain("" if period == before else period, "bold")
            shown.add_row(first, *map(plain, [row["scenario"], chance(row["weight"]), *numbers]))
            before = period
        title = mixed.outlook.dataset.catalogue[str(series)].title
        blocks += [plain(""), plain(f"What makes up the mixture: {title}", "bold"), shown]
    return Group(*blocks)


def weights_view(verdict: Verdict) -> Group:
    """Weights after each month that landed."""
    from rich.console import Group

    found = verdict.weighed
    names = list(found.prior)
    shown = plain_table(("", "left"), *((name, "right") for name in names))
    shown.add_row(plain("prior", "bold"), *(plain(chance(found.prior[name])) for name in names))
    for month, row in found.steps.iterrows():
        shown.add_row(plain(f"after {month}"), *(plain(chance(row["posterior", name])) for name in names))
    if len(found.steps):
        shown.add_row(plain("posterior", "bold"), *(plain(chance(found.posterior[name]), "bold") for name in names))
        shown.add_row(plain("log density"), *(plain(f"{found.steps['log_density', name].sum():.2f}") for name in names))
    said = [f"Scenarios as seen from {verdict.made_from}, held against {', '.join(verdict.series)}."]
    if len(found.steps) and not verdict.can_tell:
        said.append("No assumption works in the months that have landed: they cannot tell the scenarios apart.")
    if not len(found.steps):
        said.append("No month has landed since: the weights are the probabilities of the files.")
    return Group(shown, *(plain(line) for line in (*said, *verdict.remarks)))


def plausibility_lines(found: Plausibility) -> list[str]:
    """How far the statements are from what was forecast."""
    lines = []
    for one in found.stated:
        scale = scale_of(one.unit, [one.mean, one.value])
        soft = f" ± {scale.number(one.sd)}" if one.sd else ""
        lines.append(
            f"{one.text}: forecast mean {scale.number(one.mean)} (80 %: {scale.number(one.q10)} to"
            f" {scale.number(one.q90)}) {scale.label}; stated {scale.number(one.value)}{soft}, above"
            f" {chance(one.percentile)} of the paths."
        )
    if found.freedom == 1:
        far = f"It is {np.sqrt(found.distance):.1f} standard deviations out"
    else:
        far = f"Together ({found.freedom} independent statements, chi-square {found.distance:.1f})"
    lines.append(
        f"{far}: forecasts like this one miss by as much, in some direction, in {chance(found.tail)} of cases."
    )
    if len(found.stated) > 1:
        least = min(found.stated, key=lambda one: min(one.percentile, 1.0 - one.percentile))
        share = min(least.percentile, 1.0 - least.percentile)
        lines.append(f"By itself the boldest is {least.text}: {chance(share)} of the paths go as far on that side.")
    return lines


def stress_view(found: Stress, catalogue: Catalogue) -> Group:
    """What it would take: month by month, then each lever alone."""
    from rich.console import Group

    scale = scale_of(found.unit, [found.mean, found.value])
    odds = f"{chance(found.probability)} likely to do"
    head = f"{found.text}: the forecast is {scale.text(found.mean)} on average, and {odds}."
    if found.met or found.together is None:
        return Group(plain(head), plain("The mean is there already: nothing is needed."))
    shown = plain_table(
        ("", "left"),
        ("month", "left"),
        ("forecast", "right"),
        ("needed", "right"),
        ("change", "right"),
        ("in sd", "right"),
    )
    for one in found.together.levers:
        own = scale_of(one.unit, one.baseline.tolist())
        for at, month in enumerate(one.months):
            shown.add_row(
                plain(f"{one.lever}, {own.label}" if at == 0 else ""),
                plain(str(month)),
                plain(own.number(one.baseline[at])),
                plain(own.number(one.needed[at])),
                plain(percent(float(one.percent[at]))),
                plain(f"{one.deviations[at]:+.1f}".replace("-", "−")),
            )
    said = (
        f"This most plausible way is {np.sqrt(found.together.distance):.1f} standard deviations out (forecasts miss by"
        f" as much in {chance(found.together.tail)} of cases); then the target is"
        f" {chance(found.together.probability)} likely."
    )
    alone = plain_table(("one lever alone", "left"), ("by the same percentage", "right"), ("in sd", "right"))
    for lever in found.alone:
        reach = (
            percent(lever.percent)
            if np.isfinite(lever.percent)
            else f"not enough: {scale.text(lever.furthest)} at zero"
        )
        far = f"{np.sqrt(lever.distance):.1f}" if np.isfinite(lever.percent) else "–"
        alone.add_row(plain(f"{catalogue[lever.lever].title}  {lever.lever}"), plain(reach), plain(far))
    small = found.smallest
    closing = (
        f"The smallest change of one lever, in standard deviations: {small.lever} by {percent(small.percent)}."
        if small
        else ("No single lever does it.")
    )
    return Group(plain(head, "bold"), shown, plain(said), plain(""), alone, plain(closing))


def replay_view(found: Replayed, width: int) -> Group:
    """Scores without and with, and where the assumption made it worse."""
    from rich.console import Group

    blocks: list[Any] = [plain(f"Forecasts as they would have been made from figures until {found.made_from}.", "bold")]
    for one in found.assumptions:
        blocks += [plain(_wrapped(f"  {line}", width)) for line in _assumption(one)]
    blocks.append(plain(""))
    shown = plain_table(
        ("mean score", "left"),
        ("periods", "right"),
        ("", "left"),
        ("without", "right"),
        ("with", "right"),
        ("", "right"),
    )
    worse: list[str] = []
    units = dict(zip(found.scores["series"], found.scores["unit"], strict=True))
    for row in found.summary().to_dict("records"):
        scale = scale_of(units[row["series"]], [row["crps_without"], row["crps_with"]])
        what = f"{row['series']}, {row['kind']}s"
        change = row["crps_change_pct"]
        if change > 0:
            worse.append(what)
        for name, label in (
            ("crps", f"CRPS, {scale.label}"),
            ("interval_score", "interval score 80 %"),
            ("error", "bias"),
        ):
            first = [what, str(row["periods"])] if name == "crps" else ["", ""]
            numbers = [scale.number(row[f"{name}_{world}"]) for world in ("without", "with")]
            shown.add_row(*map(plain, [*first, label, *numbers, percent(change) if name == "crps" else ""]))
        logs = [f"{row[f'log_score_{world}']:.2f}" for world in ("without", "with")]
        shown.add_row(*map(plain, ["", "", "log score (higher is better)", *logs, ""]))
    verdict = (
        f"The assumption made it worse for {', '.join(worse)}." if worse else "The assumption helped everywhere here."
    )
    return Group(*blocks, shown, plain(""), plain(verdict, "bold"), *(plain(line) for line in found.remarks))


def remarks_view(lines: Sequence[str], source_line: str) -> list[Text]:
    """Remarks and the source line."""
    return [plain(""), *(plain(line, "dim") for line in lines), plain(source_line, "dim")]
