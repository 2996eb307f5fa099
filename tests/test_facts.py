"""The two founding articles held against the tables, and the logic on invented figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.facts import FACT_COLUMNS, VERDICT_COLUMNS, check_facts
from forecasting.observations import wide, with_derived

DATA = Path(__file__).parent.parent / "data"
CONFLICTS = {"troib-08", "troib-09", "tass-10", "tass-18"}
UNTESTABLE = {"troib-07", "troib-11", "tass-07", "tass-09", "tass-11", "tass-14", "tass-15"}
VISITORS = {"troib-15", "troib-16"}
REVISED = {"troib-04", "tass-01", "tass-02", "tass-17"}


def _catalogue() -> Catalogue:
    return Catalogue.from_table(pd.read_csv(DATA / "catalogue.csv", dtype=str))


def _facts() -> pd.DataFrame:
    return pd.read_csv(DATA / "press_facts.csv", dtype=str, keep_default_na=False)


def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = pd.read_csv(DATA / "observations.csv")
    rows = rows.assign(month=pd.PeriodIndex(rows["month"], freq="M"))
    y = with_derived(wide(rows).astype(float), _catalogue(), ["jp_ru.trade.value"])
    return y, wide(rows, "stage")


@pytest.fixture(scope="module")
def verdicts() -> pd.DataFrame:
    y, stages = _tables()
    return check_facts(_facts(), y, _catalogue(), stages).set_index("fact")


def test_the_verdicts_on_the_founding_articles(verdicts):
    assert ("fact", *verdicts.columns) == VERDICT_COLUMNS
    by = {name: set(rows.index) for name, rows in verdicts.groupby("verdict")}
    assert by["conflicts"] == CONFLICTS
    assert by["untestable"] == UNTESTABLE | VISITORS
    assert len(by["agrees"]) == 22
    revised = verdicts["how"].str.startswith("revision")
    assert set(verdicts.index[revised]) == REVISED
    assert set(verdicts["how"][~revised & (verdicts["verdict"] == "agrees")]) == {"rounding", "truncation"}


def test_with_visitors_all_but_seven_can_be_tested():
    y, stages = _tables()
    # Visitors from Russia (JNTO), January to September: 27,070 and 63,832, spread evenly here.
    months = pd.period_range("2023-01", "2024-09", freq="M")
    visitors = pd.Series(0.0, index=months)
    visitors["2023-01":"2023-09"], visitors["2024-01":"2024-09"] = 27_070 / 9, 63_832 / 9
    table = check_facts(_facts(), y.assign(**{"jp_ru.visitors.persons": visitors}), _catalogue(), stages)
    table = table.set_index("fact")
    assert set(table.index[table["verdict"] == "untestable"]) == UNTESTABLE
    assert table.loc["troib-16", "table"] == pytest.approx(135.8, abs=0.05)
    assert table.loc["troib-16", "how"] == "revision of 0.30 points"
    # 63,900 is neither 63,832 rounded nor cut off: it is 0.1 % away.
    assert table.loc["troib-15", "how"] == "revision of 0.11 %"


def test_conflicts_name_the_reading_that_would_agree(verdicts):
    reading = verdicts["reading"]
    assert "2024-07…2024-12: 610.0 (rounding)" in reading["tass-10"]
    assert "2024-01…2024-06: 617.3 (truncation to 10)" in reading["tass-10"]
    assert "exports to Russia, value: 52.8 (rounding)" in reading["tass-18"]
    assert "2024-01…2024-06: 65.0" in reading["troib-08"]
    assert "may be chance" in verdicts.loc["troib-09", "remark"]
    assert (reading[verdicts["verdict"] != "conflicts"] == "").all()


def test_facts_that_cannot_both_be_true_name_one_another(verdicts):
    against = verdicts["contradicts"]
    assert against["tass-09"] == "tass-10, tass-11"
    assert against["tass-10"] == against["tass-11"] == "tass-09"
    assert set(against.index[against != ""]) == {"tass-09", "tass-10", "tass-11"}
    assert "-49.3 %" in verdicts.loc["tass-09", "remark"]


def test_a_calendar_year_that_is_easily_misread_says_so(verdicts):
    assert verdicts.loc["tass-12", "verdict"] == "agrees"
    assert verdicts.loc["tass-12", "remark"] == "easily misread: this is calendar 2024; fiscal 2024 is 336.7"


def test_untestable_facts_name_what_is_missing(verdicts):
    assert verdicts.loc["troib-07", "remark"] == "the tables lack 2023-04"
    assert verdicts.loc["troib-15", "remark"] == "the tables hold no such series"


def test_a_comparison_on_computed_months_says_so(verdicts):
    assert verdicts.loc["troib-02", "basis"] == "1 provisional; base 1 implied"
    assert "1 reconstructed" in verdicts.loc["tass-02", "basis"]
    assert "2 reconstructed" in verdicts.loc["tass-13", "basis"]


def test_the_documents_show_the_computed_counts(verdicts):
    words = (DATA.parent / "docs" / "data.md").read_text(encoding="utf-8")
    exact = verdicts["how"].isin(["rounding", "truncation"]).sum()
    revised = verdicts["how"].str.startswith("revision").sum()
    rows = {
        "agree within rounding or truncation": exact,
        "agree within revisions": revised,
        "conflict with the tables": (verdicts["verdict"] == "conflicts").sum(),
        "cannot be tested": (verdicts["verdict"] == "untestable").sum(),
        "contradict one another": (verdicts["contradicts"] != "").sum(),
    }
    for row, count in rows.items():
        assert f"| {row} | {count} |" in words
    for fact in verdicts.index[verdicts["verdict"] == "conflicts"]:
        table = f"{verdicts.loc[fact, 'table']:,.1f}"
        assert f"| {fact} |" in words
        assert table in words


# Invented figures


MONTHS = pd.period_range("2020-01", "2023-12", freq="M")
SMALL = Catalogue(
    (
        Series("a", "a", "mn_jpy"),
        Series("b", "b", "mn_jpy"),
        Series("t", "t", "mn_jpy", formula="sum", terms=("a", "b")),
    )
)


def _small(rng: np.random.Generator) -> pd.DataFrame:
    y = pd.DataFrame(rng.uniform(1e5, 3e5, (len(MONTHS), 2)), index=MONTHS, columns=["a", "b"])
    return y.assign(t=y["a"] + y["b"])


def _one(**cells: str) -> dict[str, str]:
    usual = ("f", "a", "2022-05", "2022-05", "level", "1", "bn_jpy")
    return dict(zip(FACT_COLUMNS, usual, strict=True)) | cells


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), decimals=st.integers(0, 3), at=st.integers(12, 47), cut=st.booleans())
def test_what_the_tables_say_agrees_however_it_is_shortened(seed, decimals, at, cut):
    y = _small(np.random.default_rng(seed))
    level = y["a"].iloc[at] / 1000
    shown = np.trunc(level * 10**decimals) / 10**decimals if cut else level
    month = str(MONTHS[at])
    fact = _one(value=f"{shown:.{decimals}f}", period_start=month, period_end=month)
    growth = 100 * (y["a"].iloc[at] / y["a"].iloc[at - 12] - 1)
    rate = fact | {"fact_id": "g", "measure": "yoy_pct", "unit": "percent", "value": f"{growth:.{decimals}f}"}
    table = check_facts(pd.DataFrame([fact, rate]), y, SMALL)
    assert list(table["verdict"]) == ["agrees", "agrees"]
    assert set(table["contradicts"]) == {""}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([0.5, 0.9, 1.1, 2.0]))
def test_a_wrong_level_conflicts(seed, factor):
    y = _small(np.random.default_rng(seed))
    level = float(y["a"]["2022-05"])
    table = check_facts(pd.DataFrame([_one(value=f"{factor * level / 1000:.3f}")]), y, SMALL)
    assert list(table["verdict"]) == ["conflicts"]


def test_another_month_is_found_as_the_reading():
    y = _small(np.random.default_rng(3))
    table = check_facts(pd.DataFrame([_one(value=f"{y['a']['2022-04'] / 1000:.3f}")]), y, SMALL)
    assert table["reading"][0].startswith("2022-04: ")


def test_terms_that_do_not_give_the_sum_contradict_it():
    y = _small(np.random.default_rng(4))
    rows = [
        _one(fact_id=name, series=name, value=value, measure="yoy_pct", unit="percent")
        for name, value in (("a", "10"), ("b", "20"), ("t", "30"))
    ]
    table = check_facts(pd.DataFrame(rows), y, SMALL).set_index("fact")
    assert table.loc["t", "contradicts"] == "a, b"


def test_a_part_of_the_year_cannot_exceed_the_year():
    rows = [
        _one(fact_id="year", period_start="2022-01", period_end="2022-12", value="100"),
        _one(fact_id="may", value="120"),
    ]
    table = check_facts(pd.DataFrame(rows), _small(np.random.default_rng(5)), SMALL).set_index("fact")
    assert table.loc["year", "contradicts"] == "may"


def test_bad_facts_are_the_users_to_mend():
    y = _small(np.random.default_rng(6))
    with pytest.raises(DataError, match="measure"):
        check_facts(pd.DataFrame([_one(measure="mom")]), y, SMALL)
    with pytest.raises(DataError, match="unit"):
        check_facts(pd.DataFrame([_one()]).drop(columns="unit"), y, SMALL)


def test_units_that_do_not_fit_are_untestable():
    table = check_facts(pd.DataFrame([_one(unit="tonnes")]), _small(np.random.default_rng(7)), SMALL)
    assert list(table["verdict"]) == ["untestable"]
    assert table["remark"][0] == "the units do not fit"


@pytest.mark.parametrize(
    ("column", "cell"),
    [("value", ""), ("value", "nan"), ("value", "1e308"), ("value", "9" * 400), ("value", "٣"), ("period_start",
    "0000-01"),
     ("period_start", "2024"), ("period_end", "9999-12"), ("period_end", "Ⅷ-12"), ("period_end", "")],
)  # fmt: skip
def test_a_cell_that_is_no_figure_or_month_names_its_fact(column, cell):
    facts = _facts().head(2).assign(**{column: cell})
    with pytest.raises(DataError, match=f"^troib-01: {column} "):
        check_facts(facts, pd.DataFrame(), _catalogue())
