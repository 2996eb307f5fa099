"""Who may be champion: judged on a finished backtest, by the same tables as its leaderboard.

Three conditions, each with its words, and one before them. (a) Skill against seasonal naive above 0. (b) Not
significantly worse than the present champion: a Diebold–Mariano test of the scaled CRPS at 5 % on common folds; where
too few cutoffs allow a test, the loss may not be higher. (c) The 80 and 95 % intervals cover: the upper bound of the
share covered reaches the nominal one. Too narrow fails, because people act on the promise; too wide is said only: it
costs sharpness, which skill already charges for. And the backtest must have run the model as `tradecast forecast`
runs it: calibrated, on the official figures, on all history, without covariates. Otherwise its numbers are about
another forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from forecasting import leaderboard, store
from forecasting.backtest_files import Result
from forecasting.champion_file import Champion, group_of, groups_beneath
from forecasting.errors import DataError
from forecasting.leaderboard import LEVEL, OF_KIND, SHOWN_COVERAGES
from forecasting.significance import losses_by_cutoff, pairwise

OFFICIAL = "official figures"
LOSS = "crps_scaled"


@dataclass(frozen=True)
class Check:
    """One condition, whether it holds, and the numbers in words."""

    passed: bool
    words: str


@dataclass(frozen=True)
class Verdict:
    """A model of a backtest as champion of a group: the conditions, and what else is worth saying."""

    group: str
    label: str
    model: str
    settings: Mapping[str, Any]
    kind: str
    skill: float
    covered: Mapping[int, float]
    checks: tuple[Check, ...]
    remarks: tuple[str, ...]
    backtest: str
    day: str
    vintage: str
    digest: str = field(repr=False)

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.checks)

    @property
    def refusals(self) -> str:
        """Why not, in one line."""
        return "; ".join(one.words for one in self.checks if not one.passed)

    @property
    def why(self) -> str:
        """Why, in one line: what holds of the three conditions."""
        return "; ".join(one.words for one in self.checks[1:] if one.passed)

    @property
    def numbers(self) -> dict[str, float]:
        """Skill, and percent held by the intervals; what is not known is left out."""
        found = {"skill": self.skill, **{f"cov{at}": 100 * share for at, share in self.covered.items()}}
        return {name: float(f"{value:.4g}") for name, value in found.items() if math.isfinite(value)}

    @property
    def basis(self) -> str:
        """What it was judged on."""
        return f"backtest {self.backtest} of {self.day}, data of {self.vintage}, {OF_KIND[self.kind]}"


def groups_of(result: Result) -> tuple[str, ...]:
    """The groups whose series the backtest scored; what rests on several has no champion of its own."""
    catalogue = store.read_catalogue(store.data_folder())
    scored = [str(one) for one in result.rows["series"].unique()]
    own = (one for one in scored if one not in catalogue or groups_beneath(one, catalogue) == (group_of(one),))
    return tuple(dict.fromkeys(map(group_of, own)))


def choose(result: Result, group: str, present: Champion | None = None, label: str = "") -> Verdict:
    """The verdict on the model with this label; none named: on the one of best skill."""
    groups = groups_of(result)
    if group not in groups:
        raise DataError(f"{result.name} has no series of a group {group!r}: there are {', '.join(groups)}.")
    series = [one for one in result.rows["series"].unique() if group_of(one) == group]
    board = leaderboard.board(result, series=series)
    table = board.table.set_index("model").sort_values("skill", ascending=False, kind="stable", na_position="last")
    if label and label not in table.index:
        raise DataError(f"{result.name} has no forecasts of {label} for {group}: choose from {', '.join(table.index)}.")
    chosen = label or str(table.index[0])
    return _verdict(result, group, board, table, chosen, present)


def _verdict(
    result: Result, group: str, board: leaderboard.Board, table: pd.DataFrame, label: str, present: Champion | None
) -> Verdict:
    model, settings = _model(result, label)
    row: dict[Any, Any] = table.loc[[label]].iloc[0].to_dict()
    rows = leaderboard.evenly(board.rows)
    pairs = pairwise(rows, by=(), loss=LOSS)
    base = leaderboard.base_of(result)
    about = result.about
    return Verdict(
        group=group,
        label=label,
        model=model,
        settings=settings,
        kind=board.kind,
        skill=float(row["skill"]),
        covered={one: float(row[f"covered{one}"]) for one in SHOWN_COVERAGES},
        checks=(
            _alike(about),
            _skilled(row, pairs, label, base),
            _not_worse(result, pairs, label, present),
            _covers(row),
        ),
        remarks=(*_remarks(table, label, board), *_how_often(rows, label, base)),
        backtest=result.name,
        day=str(about.get("finished", ""))[:10],
        vintage=str(about["data"]["vintage"]),
        digest=str(about["table"]["sha256"]),
    )  # fmt: skip


def _model(result: Result, label: str) -> tuple[str, dict[str, Any]]:
    found = result.about["models"][label]
    return str(found["model"]), dict(found["settings"])


# --- The conditions --------------------------------------------------------------------------------------


def _alike(about: Mapping[str, Any]) -> Check:
    """Were these the forecasts that `tradecast forecast` makes."""
    experiment = about.get("experiment", {})
    source = about["data"].get("source", OFFICIAL)
    wrong = [
        words
        for unlike, words in (
            (not about.get("calibrate"), "it did not calibrate (set calibrate = true)"),
            (about.get("window", "expanding") != "expanding", f"it showed models only {about.get('window')} months"),
            (bool(experiment.get("covariates")), "it gave models covariates"),
            (source != OFFICIAL, f"it ran on {source}, not on the official figures"),
        )
        if unlike
    ]
    if wrong:
        return Check(False, f"the backtest did not run what tradecast forecast runs: {', '.join(wrong)}")
    return Check(True, "the backtest ran what tradecast forecast runs")


def _skilled(row: Mapping[Any, Any], pairs: pd.DataFrame, label: str, base: str) -> Check:
    if not base:
        return Check(False, "no skill is known: add seasonal_naive to the experiment")
    skill = float(row["skill"])
    words = f"skill {_percent(skill)} against {base}"
    if label != base and (tested := _pair(pairs, label, base)) is not None:
        words += f" ({_tested(tested)})"
    return Check(skill > 0, words if skill > 0 else f"{words}: it must be above 0")


def _not_worse(result: Result, pairs: pd.DataFrame, label: str, present: Champion | None) -> Check:
    if present is None:
        return Check(True, "no champion before it")
    if present.same_model(*_model(result, label)):
        return Check(True, f"the same model as version {present.version}, champion at the time")
    rival = next((one for one in result.about["models"] if present.same_model(*_model(result, one))), "")
    tested = _pair(pairs, label, rival) if rival else None
    if tested is None:
        return Check(
            False, f"{present.model}, the present champion, has no forecasts in this backtest: add it to the experiment"
        )
    worse, p = tested["difference"] > 0, tested["p"]
    if worse and not p >= LEVEL:
        how = "loses more" if math.isnan(p) else "significantly worse"
        return Check(False, f"{how} than {rival}, the present champion ({_tested(tested)})")
    how = "not significantly worse" if worse else "loses no more"
    return Check(True, f"{how} than {rival}, champion at the time ({_tested(tested)})")


def _pair(pairs: pd.DataFrame, label: str, other: str) -> dict[Any, Any] | None:
    """The comparison of two models; ``difference`` above 0 is against ``label``."""
    for sign, one, two in ((1, label, other), (-1, other, label)):
        found = pairs[(pairs["model"] == one) & (pairs["other"] == two)]
        if len(found):
            row: dict[Any, Any] = found.iloc[0].to_dict()
            return row | {"difference": sign * row["difference"]}
    return None


def _tested(row: Mapping[Any, Any]) -> str:
    if math.isnan(row["p"]):
        return f"not tested: {row['note']}"
    p = "p < 0.001" if row["p"] < 0.001 else f"p {row['p']:.3f}" if row["p"] < LEVEL else f"p {row['p']:.2f}"
    return f"{p} on {row['cutoffs']} cutoffs"


def _covers(row: Mapping[Any, Any]) -> Check:
    """Too narrow beyond chance fails; too wide is only said."""
    narrow = [one for one in SHOWN_COVERAGES if not row[f"high{one}"] >= one / 100]
    said = ", ".join(_covered(row, one) for one in SHOWN_COVERAGES)
    if narrow:
        return Check(False, f"intervals too narrow: {', '.join(_covered(row, one) for one in narrow)}")
    return Check(True, f"intervals cover: {said}")


def _covered(row: Mapping[Any, Any], coverage: int) -> str:
    share, low, high = (100 * row[f"{one}{coverage}"] for one in ("covered", "low", "high"))
    wide = ", too wide" if low > coverage else ""
    return f"{coverage} % held {share:.0f} % (bounds {low:.0f} to {high:.0f}{wide})"


def _remarks(table: pd.DataFrame, label: str, board: leaderboard.Board) -> Sequence[str]:
    remarks = []
    if board.note:
        remarks.append(f"No difference could be tested: {board.note}.")
    rivals = [str(one) for one in table.index[table["p"] >= LEVEL]]
    others = [one for one in rivals if one != label]
    if others and label in rivals:
        remarks.append(f"{board.origins} cutoffs cannot tell it from {', '.join(others)}.")
    if failed := int(table["failed"].loc[label]):
        remarks.append(f"It failed on {failed} series × cutoffs, on which no model is judged.")
    return remarks


def _how_often(rows: pd.DataFrame, label: str, base: str) -> Iterator[str]:
    """A mean may rest on a few cutoffs at which seasonal naive was absurd: at how many was the model better."""
    for losses in losses_by_cutoff(rows, LOSS):
        if label != base and {label, base} <= set(losses.table):
            better = int((losses.table[label] < losses.table[base]).sum())
            few = ": its skill rests on the size of few errors" if 2 * better <= len(losses.table) else ""
            yield f"Better than {base} at {better} of {len(losses.table)} cutoffs{few}."


def _percent(share: float) -> str:
    return "unknown" if math.isnan(share) else f"{100 * share:+.1f} %".replace("-", "−")
