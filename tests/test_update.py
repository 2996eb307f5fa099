"""From a publisher's bytes to a forecast: invented sources in a project of their own."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from forecasting import backtests, clock, experiments_file, store, update, vintage_store, vintages, workflow
from forecasting.catalogue import Catalogue, Series
from forecasting.errors import CatalogueError, DataError, SourceError, UnreachableError
from forecasting.sources import registry
from forecasting.sources.base import Address, Ask, Raw, Reading

DATA = Path(__file__).parent.parent / "data"
EXPORTS, IMPORTS, WORLD = "jp_ru.exports.value", "jp_ru.imports.value", "jp_world.exports.value"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CHEAP = {"model": "naive", "paths": 200, "cache": False}
Run = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Invented:
    """A source whose files are JSON: {"layout": its name, "rows": [[series, month, value, unit, stage, published]]}."""

    name: str = "japan_customs_press"
    title: str = "invented press releases"
    publisher: str = "Nobody"
    licence: str = "none"
    attribution: str = "Source: Trade Statistics of Japan, Ministry of Finance; processed."
    key: str = ""
    hosts: tuple[str, ...] = ("127.0.0.1",)
    declares: tuple[Series, ...] = ()
    layout: str = "press"

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        return tuple(one.id for one in self.declares) or (EXPORTS, IMPORTS)

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        yield Address(f"https://127.0.0.1/{self.layout}?since={ask.since}&until={ask.until}&key={ask.key}", "JSON")

    def recognises(self, raw: Raw) -> bool:
        return f'"layout": "{self.layout}"'.encode() in raw.content[:100]

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        rows = json.loads(raw.content)["rows"]
        table = pd.DataFrame(rows, columns=["series", "month", "value", "unit", "stage", "published"])
        table["published"] = [None if one is None else date.fromisoformat(one) for one in table["published"]]
        return Reading(
            table.assign(
                month=pd.PeriodIndex(table["month"], freq="M"), std_error=np.nan, source=self.name, dated="printed",
                raw=raw.digest,
            ),
            ("read as it is",),
        )  # fmt: skip


PRESS = Invented()
UN = Invented("comtrade", "invented dollars", attribution="Source: UN Comtrade", key="UN_KEY", layout="un")
FX = Invented("fx", "invented rates", attribution="Source: a bank", layout="fx",
              declares=(Series("fx.usd_jpy", "Yen a dollar", "jpy/usd", publisher="a bank"),))  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the carried figures and three invented sources; nothing is fetched yet."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("catalogue.csv", "observations.csv", "sources.toml", "press_facts.csv"):
        (folder / name).write_bytes((DATA / name).read_bytes())
    monkeypatch.setenv("TRADECAST_HOME", str(tmp_path))
    monkeypatch.setenv("TRADECAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UN_KEY", raising=False)
    for one in (PRESS, UN, FX):
        monkeypatch.setitem(sys.modules, f"invented_{one.layout}", SimpleNamespace(SOURCE=one))
    monkeypatch.setattr(registry, "SOURCES", {one.name: f"invented_{one.layout}" for one in (PRESS, UN, FX)})
    monkeypatch.setattr(update, "SOURCES", registry.SOURCES)
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return folder


def content(layout: str, *rows: tuple) -> bytes:
    return json.dumps({"layout": layout, "rows": rows}).encode()


def press(*rows: tuple) -> bytes:
    """Rows of imports: month, value, stage, published."""
    return content("press", *((IMPORTS, month, value, "mn_jpy", stage, day) for month, value, stage, day in rows))


def serving(**answers: object) -> update.Connect:
    """A world in which each source answers with these bytes, or fails with this error."""

    def connect(one: Invented) -> update.Get:
        def get(address: Address) -> Raw | None:
            answer = answers[one.layout]
            if isinstance(answer, Exception):
                raise answer
            return answer and Raw(answer, address.url, NOW)

        return get

    return connect  # type: ignore[return-value]


def fetch(data: bytes, now: datetime = NOW) -> update.Updated:
    return update.update(["japan_customs_press"], None, now, serving(press=data))


def plant(folder: Path, month: str, value: float, now: datetime = NOW, **more: object) -> None:
    """A revision of imports that is seen now."""
    carried = vintages.carried(store.read_stored_observations(folder))
    row = {
        "series": IMPORTS, "month": pd.Period(month, "M"), "value": value, "unit": "mn_jpy", "stage": "fixed",
        "std_error": np.nan, "source": "japan_customs_press", "published": None, "dated": "seen", "raw": "a" * 64,
    }  # fmt: skip
    vintage_store.append(folder, pd.DataFrame([row | more]), now, store.read_catalogue(folder), carried)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


# Update


def test_an_update_adds_what_is_new_and_says_what_it_was(home: Path) -> None:
    june, august = workflow.load().panel.y.loc[["2026-06", "2026-08"], IMPORTS].tolist()
    data = press(
        ("2026-08", august + 10, "detailed", "2026-09-30"), ("2026-07", 1.0, "provisional", "2026-08-20"),
        ("2026-09", 70_000.0, "provisional", "2026-10-20"), ("2026-06", june, "provisional", "2026-07-20"),
    )  # fmt: skip
    done = fetch(data)
    (came,) = done.came
    assert (came.files, came.last, came.error, came.remarks) == (1, "2026-09", "", ("read as it is",))
    assert came.rows == {"new": 1, "revised": 2, "confirmed": 0, "other source": 0}
    y = workflow.load().panel.y[IMPORTS]
    assert (y["2026-09"], y["2026-08"], y["2026-07"]) == (70_000.0, august + 10, 1.0)
    assert sum(fetch(data).came[0].rows.values()) == 0
    assert len(vintage_store.parts(home)) == 1
    assert vintage_store.raw_bytes(home, Raw(data, "", NOW).digest) == data


def test_carried_figures_are_not_touched_and_load_alike_until_something_is_added(home: Path) -> None:
    before = workflow.load()
    as_of = workflow.load(None, "2026-11-22")
    pd.testing.assert_frame_equal(as_of.panel.y, before.panel.y)
    assert as_of.panel.digest() == before.panel.digest()
    assert as_of.observations[["series", "month"]].equals(before.observations[["series", "month"]])
    plant(home, "2025-03", 1.0)
    after = workflow.load().panel.y
    assert list(after.columns) == list(before.panel.y.columns)
    changed = (after != before.panel.y) & (after.notna() | before.panel.y.notna())
    assert [(str(month), one) for (month, one) in changed.stack()[changed.stack()].index] == [("2025-03", IMPORTS)]
    assert (home / "observations.csv").read_bytes() == (DATA / "observations.csv").read_bytes()


def test_one_failing_source_does_not_stop_the_others(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UN_KEY", "secret")
    answers = serving(
        press=press(("2026-09", 1.0, "provisional", None)), un=SourceError("un: no connection"),
        fx=content("fx", ("fx.usd_jpy", "2026-09", 150.0, "jpy/usd", "published", None)),
    )  # fmt: skip
    done = update.update([], None, NOW, answers)
    assert done.failed == ("comtrade",)
    assert [one.rows.get("new") for one in done.came] == [1, 0, 1]
    assert [one.error for one in done.came] == ["", "un: no connection", ""]
    asked = {one.name: one.asked for one in update.offers()}
    assert asked == {"japan_customs_press": "2026-11-22", "comtrade": "", "fx": "2026-11-22"}


def test_a_source_without_its_key_is_skipped_or_refused_by_name(home: Path) -> None:
    everything = serving(press=press(("2026-09", 1.0, "provisional", None)), fx=content("fx"))
    done = update.update([], None, NOW, everything)
    assert [one.skipped for one in done.came] == ["", "it needs a key: set UN_KEY", ""]
    assert not done.failed
    assert update.update(["comtrade"], None, NOW, everything).came[0].error == "it needs a key: set UN_KEY"
    with pytest.raises(CatalogueError, match="Did you mean comtrade"):
        update.update(["comtrad"], None, NOW, everything)


def test_what_is_asked_of_a_source(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UN_KEY", "secret")
    asked: list[str] = []

    def connect(one: Invented) -> update.Get:
        return lambda address: asked.append(address.url)  # type: ignore[func-returns-value,return-value]

    done = update.update(["comtrade"], None, NOW, connect)  # type: ignore[arg-type]
    update.update(["comtrade"], "2020-01", NOW, connect)  # type: ignore[arg-type]
    assert asked == [f"https://127.0.0.1/un?since={one}&until=2026-10&key=secret" for one in ("2024-11", "2020-01")]
    assert done.came[0].error.startswith("it gave no file")
    for since, said in (("2020", "is not a month"), ("2026-12", "--since 2026-12 lies in the future: .* 2026-11")):
        with pytest.raises(DataError, match=said):
            update.update(["comtrade"], since, NOW, connect)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((IMPORTS, "2027-01", 1.0, "mn_jpy", "provisional", None), "2027-01.*lies in the future"),
        (("jp_ru.imports.cheese.value", "2026-09", 1.0, "mn_jpy", "provisional", None), "no series of the catalogue"),
        ((IMPORTS, "2026-09", 1.0, "kg", "provisional", None), "unit that cannot be"),
    ],
)
def test_what_cannot_be_true_is_an_error_of_its_source_and_nothing_is_added(home: Path, row: tuple, said: str) -> None:
    done = fetch(content("press", (EXPORTS, "2026-09", 1.0, "mn_jpy", "provisional", None), row))
    assert done.failed == ("japan_customs_press",)
    with pytest.raises(DataError, match=said):
        raise DataError(done.came[0].error)
    assert vintage_store.parts(home) == ()


def test_without_a_project_nothing_is_kept_beside_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(store, "data_folder", lambda: store.PACKAGE / "embedded")
    for ask in (lambda: update.update([], None, NOW, serving()), lambda: update.ingest([tmp_path / "a"], None, NOW)):
        with pytest.raises(DataError, match="there is no project here: set TRADECAST_HOME"):
            ask()


# Files given by hand


def test_a_file_is_read_by_the_source_whose_layout_it_has(home: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "misleading_name_un.csv", tmp_path / "b.xml"]
    paths[0].write_bytes(press(("2026-09", 5.0, "provisional", None)))
    paths[1].write_bytes(content("fx", ("fx.usd_jpy", "2026-09", 150.0, "jpy/usd", "published", None)))
    done = update.ingest(paths, None, NOW)
    assert [(one.source, one.files, one.rows["new"]) for one in done.came] == [
        ("japan_customs_press", 1, 1), ("fx", 1, 1),
    ]  # fmt: skip
    assert workflow.load().panel.y.loc["2026-09", IMPORTS] == 5.0
    assert len(vintage_store.parts(home)) == 1


@pytest.mark.parametrize("source", [None, "fx"])
def test_a_file_of_no_known_layout_is_refused_and_all_others_with_it(
    home: Path, tmp_path: Path, source: str | None
) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad.csv"
    good.write_bytes(content("fx", ("fx.usd_jpy", "2026-09", 150.0, "jpy/usd", "published", None)))
    bad.write_bytes(b"a,b\n1,2\n")
    said = (
        "bad.csv is no file of fx" if source else "bad.csv has a layout that no source has; known are: invented press"
    )
    with pytest.raises(DataError, match=said):
        update.ingest([good, bad], source, NOW)
    assert vintage_store.parts(home) == ()
    with pytest.raises(DataError, match=r"none\.csv cannot be read: No such file"):
        update.ingest([tmp_path / "none.csv"], source, NOW)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (b"", "bad.csv is empty: fetch it again"),
        (b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>", "bad.csv is the web page '404'"),
        (b"PK\x03\x04rest", "Of ZIP files only those of e-Stat are read"),
    ],
)
def test_what_is_no_file_of_figures_is_named(home: Path, tmp_path: Path, held: bytes, said: str) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(held)
    with pytest.raises(DataError, match=said):
        update.ingest([bad], None, NOW)
    assert vintage_store.parts(home) == ()


def test_a_file_without_a_series_of_the_catalogue_says_so(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "strange.csv"
    path.write_bytes(content("fx"))
    (came,) = update.ingest([path], None, NOW).came
    assert "strange.csv: no published figure of a series in data/catalogue.csv is in it." in came.remarks


def test_every_real_source_refuses_what_is_not_its_own() -> None:
    for name in registry.SOURCES:
        one = registry.source(name)
        for junk in (b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b"<html></html>", b"{}"):
            assert not one.recognises(Raw(junk, "junk", NOW)), (name, junk)


# A line of the catalogue that is gone


def without_lines(home: Path, *ids: str) -> None:
    path = home / "catalogue.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(tuple(f"{one}," for one in ids))]
    assert len(kept) == len(lines) - len(ids)
    path.write_text("".join(kept), encoding="utf-8")


def test_rows_without_a_line_in_the_catalogue_block_nothing_and_are_named(home: Path, tradecast: Run) -> None:
    ours = {f"jp_ru.imports.kind{at}.value": f"Kind {at}" for at in range(5)}
    whole = (home / "catalogue.csv").read_text(encoding="utf-8")
    columns = whole.splitlines()[0].split(",")
    rows = [",".join({"id": one, "title": title, "unit": "mn_jpy"}.get(name, "") for name in columns)
            for one, title in ours.items()]  # fmt: skip
    (home / "catalogue.csv").write_text(whole.rstrip("\n") + "\n" + "\n".join(rows) + "\n", encoding="utf-8")
    for one in ours:
        plant(home, "2026-07", 5.0, series=one)
    assert set(ours) <= set(workflow.load().panel.series)
    assert not any("not listed" in line for line in workflow.load().remarks)
    without_lines(home, *ours)
    left = workflow.load()
    assert not set(ours) & set(left.panel.series)
    a, b, c = list(ours)[:3]
    assert left.remarks == (
        f"Left out, kept but not listed: {a}, {b}, {c} and 2 more; put their lines back into data/catalogue.csv.",
    )
    code, out, err = tradecast("forecast", IMPORTS, "--model", "naive", "--paths", 200, "--no-cache")
    assert (code, err) == (0, "")
    assert f"{a}, {b}, {c} and 2 more" in " ".join(out.split())
    assert tradecast("data", "check")[0] == 0
    assert tradecast("data", "revisions", IMPORTS)[0] == 0


# As of a day


def test_a_later_revision_does_not_change_a_forecast_of_an_earlier_day(home: Path) -> None:
    request = workflow.Request((IMPORTS,), as_of_day="2026-10-25", **CHEAP)
    plant(home, "2025-05", 1.0, datetime(2026, 10, 1, tzinfo=UTC))
    before = workflow.forecast(request)
    now = workflow.forecast(workflow.Request((IMPORTS,), **CHEAP))
    for month in ("2024-06", "2025-03", "2026-07", "2026-08"):
        plant(home, month, 9e6, datetime(2026, 10, 26, tzinfo=UTC))
    plant(home, "2026-09", 9e6, datetime(2026, 10, 26, tzinfo=UTC))
    after = workflow.forecast(request)
    assert before.vintage == after.vintage
    assert before.table.equals(after.table)
    assert after.remarks[0] == "Figures as known on 2026-10-25."
    assert not workflow.forecast(workflow.Request((IMPORTS,), **CHEAP)).table.equals(now.table)


def test_a_correction_dated_back_does_not_change_an_earlier_day(home: Path) -> None:
    before = workflow.load(None, "2026-10-25").panel.digest()
    fetch(press(("2026-08", 1.0, "provisional", "2026-09-20")))
    assert workflow.load().panel.y.loc["2026-08", IMPORTS] == 1.0
    assert workflow.load(None, "2026-10-25").panel.digest() == before


def test_the_panel_of_a_day_ends_where_publications_did(home: Path) -> None:
    panel = workflow.load(None, "2026-03-25").panel
    assert panel.y[IMPORTS].last_valid_index() == pd.Period("2026-02", "M")
    assert panel.y[WORLD].last_valid_index() == pd.Period("2026-01", "M")


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("1950-01-01", "nothing was known yet"),
        ("2026-02-30", "is not a day"),
        ("soon", "is not a day"),
        ("2026-11-23", "--as-of-day 2026-11-23 lies in the future: take a day until 2026-11-22"),
    ],
)
def test_days_that_cannot_be_are_refused(home: Path, day: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        workflow.load(None, day)


def test_a_users_file_has_no_days(home: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--as-of-day needs figures of every day"):
        workflow.load(tmp_path / "mine.csv", "2026-01-01")


EXPERIMENT = {
    "series": [IMPORTS], "cutoffs": ["2026-01", "2026-04"], "horizon": 2, "paths": 100, "panel": "first_published",
    "forecasters": [{"model": "naive"}],
}  # fmt: skip


def test_a_backtest_as_first_published_sees_no_later_revision(home: Path, tmp_path: Path) -> None:
    asked = experiments_file.parse(EXPERIMENT, "a.toml")
    before = backtests.prepare(asked, backtests.load(asked))
    plant(home, "2026-01", 9e6)
    plant(home, "2025-12", 9e6, published=date(2026, 6, 1))
    data = backtests.load(asked)
    after = backtests.prepare(asked, data)
    assert [one.key for one in after.parts] == [one.key for one in before.parts]
    assert data.y.loc["2026-01", IMPORTS] == 9e6
    assert data.source == "official figures as first published"
    latest = experiments_file.parse(EXPERIMENT | {"panel": "latest"}, "a.toml")
    assert [one.key for one in backtests.prepare(latest, backtests.load(latest)).parts] != [
        one.key for one in before.parts
    ]
    rows = backtests.run(after, tmp_path / "out").rows
    assert set(rows["cutoff"]) == {"2026-01", "2026-04"}


def test_a_users_file_cannot_be_backtested_as_first_published(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("series,month,value\n")
    with pytest.raises(DataError, match="a file of your own holds no vintages"):
        experiments_file.parse(EXPERIMENT | {"data": "mine.csv"}, "a.toml", tmp_path)


# Sources, and who says what


def test_every_source_that_numbers_rest_on_is_named(home: Path, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content("un", (EXPORTS, "2026-09", 1000.0, "mn_jpy", "published", None)))
    update.ingest([tmp_path / "f"], None, NOW)
    dataset = workflow.load()
    ours = "Source: Trade Statistics of Japan, Ministry of Finance; processed."
    assert dataset.source_line_of([IMPORTS]) == ours
    assert dataset.source_line_of([EXPORTS]) == f"{ours} Source: UN Comtrade."
    assert dataset.source_line == f"{ours} Source: UN Comtrade."


def test_rates_are_kept_but_do_not_move_the_cutoff_of_trade(home: Path, tmp_path: Path) -> None:
    before = workflow.load().panel
    (tmp_path / "f").write_bytes(content("fx", ("fx.usd_jpy", "2026-10", 150.0, "jpy/usd", "published", None)))
    update.ingest([tmp_path / "f"], None, NOW)
    dataset = workflow.load()
    assert dataset.panel.digest() == before.digest()
    assert "fx.usd_jpy" in dataset.catalogue
    assert workflow.rows_of(dataset, "fx.usd_jpy")["value"].tolist() == [150.0]


def test_sources_side_by_side_with_dollars_converted(home: Path, tmp_path: Path) -> None:
    august = float(workflow.load().panel.y.loc["2026-08", IMPORTS])
    for at, data in enumerate((
        content("un", (IMPORTS, "2026-08", august / 150 * 1.1, "mn_usd", "published", None)),
        content("fx", ("fx.usd_jpy", "2026-08", 150.0, "jpy/usd", "published", None)),
    )):  # fmt: skip
        (tmp_path / str(at)).write_bytes(data)
    update.ingest([tmp_path / "0"], None, NOW)
    assert "comtrade" in update.compare(IMPORTS).remarks[0]
    update.ingest([tmp_path / "1"], None, NOW)
    found = update.compare(IMPORTS)
    assert list(found.values.columns) == ["japan_customs_press", "comtrade", "press_articles"]
    assert found.values.loc["2026-08", "comtrade"] == pytest.approx(august * 1.1)
    assert found.standing["2026-08"] == "japan_customs_press"
    assert workflow.load().panel.y.loc["2026-08", IMPORTS] == august


@pytest.mark.parametrize(
    ("series", "mirror"),
    [
        (IMPORTS, "ru_jp.exports.value"),
        ("jp_ru.exports.transport.cars.quantity", "ru_jp.imports.transport.cars.quantity"),
        (WORLD, ""),
        ("fx.usd_jpy", ""),
    ],
)
def test_the_mirror_of_a_flow(series: str, mirror: str) -> None:
    assert update.mirror_of(Series(series, series, "mn_jpy")) == mirror


def test_a_computed_series_has_neither_revisions_nor_sources(home: Path) -> None:
    for ask in (update.revisions, update.compare):
        with pytest.raises(DataError, match=r"is computed, never published: ask for jp_ru\.exports\.value or"):
            ask("jp_ru.trade.value")


# Revision noise


def with_revisions(home: Path, size: float) -> None:
    """Two years of imports with a detailed figure after the provisional one, off by this size up and down."""
    y = workflow.load().panel.y[IMPORTS]
    months = pd.period_range("2024-06", "2026-06", freq="M")
    rows = [
        (str(month), float(y[month]) * (1 + size * (-1) ** at), "fixed", "2026-10-01")
        for at, month in enumerate(months)
    ]
    fetch(press(*rows))


def test_without_spread_revision_noise_changes_nothing(home: Path) -> None:
    stored = pd.read_csv(home / "observations.csv", dtype=str, keep_default_na=False)
    stored.assign(std_error="").to_csv(home / "observations.csv", index=False)
    carried = pd.read_csv(home / "observations.csv", dtype=str, keep_default_na=False)
    carried[carried["std_error"] == ""].to_csv(home / "observations.csv", index=False)
    plain = workflow.forecast(workflow.Request((IMPORTS,), **CHEAP))
    noisy = workflow.forecast(workflow.Request((IMPORTS,), revision_noise=True, **CHEAP))
    assert np.array_equal(plain.forecast.paths, noisy.forecast.paths)
    assert any("No revisions of provisional figures have been measured yet" in one for one in noisy.remarks)
    with_revisions(home, 0.0)
    plain = workflow.forecast(workflow.Request((IMPORTS,), **CHEAP))
    noisy = workflow.forecast(workflow.Request((IMPORTS,), revision_noise=True, **CHEAP))
    assert np.array_equal(plain.forecast.paths, noisy.forecast.paths)


def test_measured_revisions_widen_the_forecast_of_provisional_months(home: Path) -> None:
    with_revisions(home, 0.3)
    asked = {"model": "naive", "paths": 1600, "cache": False}
    plain = workflow.forecast(workflow.Request((IMPORTS,), **asked))
    noisy = workflow.forecast(workflow.Request((IMPORTS,), revision_noise=True, **asked))
    step = plain.forecast.steps()[:, plain.forecast.series.index(IMPORTS)] == 1
    first = [one.forecast.column(IMPORTS)[:, step] for one in (plain, noisy)]
    assert np.log(first[1]).std() > 1.1 * np.log(first[0]).std()
    published = plain.forecast.steps() <= 0
    assert np.array_equal(noisy.forecast.paths[:, published], plain.forecast.paths[:, published])
    assert any("provisional figures vary by what such figures were revised (±" in one for one in noisy.remarks)


def test_estimated_months_vary_by_their_standard_error(home: Path) -> None:
    noisy = workflow.forecast(workflow.Request((IMPORTS,), revision_noise=True, **CHEAP))
    assert any("32 estimated figures vary by their standard error (± 0.2" in one for one in noisy.remarks)


def test_noise_of_an_earlier_day_knows_no_later_revision(home: Path) -> None:
    with_revisions(home, 0.3)
    official = workflow.official()
    assert official.spreads([IMPORTS], date(2026, 9, 30)) == {}
    assert official.spreads([IMPORTS], date(2026, 10, 1))[IMPORTS, "provisional"] == pytest.approx(0.3, abs=0.03)


def test_a_users_file_has_no_revisions(home: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    months = pd.period_range("2022-01", periods=40, freq="M").astype(str)
    pd.DataFrame({"series": "a", "month": months, "value": range(100, 140)}).to_csv(mine, index=False)
    with pytest.raises(DataError, match="--revision-noise needs earlier releases"):
        workflow.forecast(workflow.Request(data=mine, revision_noise=True, **CHEAP))


# From the command line


@pytest.fixture
def online(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    answers: dict[str, object] = {"press": press(("2026-09", 5e4, "provisional", "2026-10-20")), "fx": content("fx")}
    monkeypatch.setattr(update, "online", lambda told: serving(**answers))
    return answers


@pytest.mark.parametrize("width", [80, 110])
def test_update_prints_a_line_a_source(tradecast: Run, online: dict[str, object], width: int) -> None:
    code, out, err = tradecast("data", "update", width=width)
    assert (code, err) == (0, "")
    assert "japan_customs_press" in out
    assert re.search(r"japan_customs_press +1 +2026-09 +1 new", out)
    assert "it needs a key: set UN_KEY" in " ".join(out.split())
    online["press"] = press(("2026-09", 6e4, "detailed", "2026-10-31"))
    code, out, _ = tradecast("data", "update", "japan_customs_press", "--since", "2026-01", width=width)
    assert "Revised" in out
    assert "60,000 mn_jpy" in out
    assert workflow.load().panel.y.loc["2026-09", IMPORTS] == 6e4


def test_a_month_that_another_source_takes_over_is_shown_as_it_was_and_is(home: Path) -> None:
    stood = workflow.load().panel.y.loc["2026-07", IMPORTS]
    later = Invented("japan_customs_files", "invented files", attribution="Source: files", layout="files")
    read = later.parse(
        Raw(content("files", (IMPORTS, "2026-07", stood + 0.123, "mn_jpy", "fixed", None)), "", NOW), None
    )
    done = update._added(
        home, [update._Read(later, store.read_catalogue(home), NOW, [read.records])],
        [update.Came(later.name, 1)], NOW, store.read_catalogue(home),
    )  # fmt: skip
    (row,) = done.replaced.to_dict("records")
    assert (row["series"], str(row["month"]), row["was"], row["now"]) == (IMPORTS, "2026-07", stood, stood + 0.123)
    assert row["source"] == "japan_customs_files"
    from forecasting.cli.console import console
    from forecasting.cli.data_view import updated_view

    shown = console()
    with shown.capture() as held:
        shown.print(updated_view(done, 110))
    assert f"{stood:,.0f} → {stood:,.0f}.123 mn_jpy (+0.00 %)" in held.get()
    assert workflow.load().panel.y.loc["2026-07", IMPORTS] == stood + 0.123


@pytest.mark.parametrize(
    "words",
    [
        ("forecast", IMPORTS, "--model", "naive", "--as-of-day", "2026-11-23"),
        ("news", "--model", "naive", "--since-day", "2026-11-23"),
        ("data", "update", "--since", "2026-12"),
    ],
)
def test_the_future_is_refused_in_one_line(tradecast: Run, online: dict[str, object], words: tuple[str, ...]) -> None:
    code, out, err = tradecast(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"tradecast: {words[-2]} {words[-1]} lies in the future: take a" in err


def test_update_fails_when_a_source_did(tradecast: Run, online: dict[str, object]) -> None:
    online["fx"] = SourceError("https://bank/rates: expected CSV, found a page: try again later.")
    code, out, err = tradecast("data", "update")
    assert code == 2
    assert "https://bank/rates" in out
    assert err == "tradecast: 1 of 3 sources failed, as said above; the rest is kept.\n"
    assert workflow.load().panel.y.loc["2026-09", IMPORTS] == 5e4


def test_without_a_network_one_line_says_so(tradecast: Run, online: dict[str, object]) -> None:
    nobody = UnreachableError("https://x: expected CSV, found no connection: check the network, or try again later.")
    online |= {"fx": nobody, "press": nobody}
    code, _, err = tradecast("data", "update")
    assert code == 2
    assert err == "tradecast: None of 2 sources could be reached, there seems to be no network: nothing came.\n"
    online["fx"] = SourceError("https://bank/rates: expected CSV, found a server error (500): try again later.")
    assert "2 of 3 sources failed" in tradecast("data", "update")[2]


@pytest.mark.parametrize("width", [80, 110])
def test_sources_revisions_and_compare(
    tradecast: Run, online: dict[str, object], home: Path, tmp_path: Path, width: int
) -> None:
    with_revisions(home, 0.02)
    code, out, err = tradecast("data", "sources", width=width)
    assert (code, err) == (0, "")
    assert "key UN_KEY is not set" in out
    assert "25 values to 2026-06" in out
    assert "Source: UN Comtrade." in out
    code, out, err = tradecast("data", "revisions", IMPORTS, "--out", tmp_path / "triangle.csv", width=width)
    assert code == 0
    assert "no bias at 5 %" in out
    assert "too few months with a year before them" in " ".join(out.split())
    assert pd.read_csv(tmp_path / "triangle.csv").shape[1] > 20
    code, out, err = tradecast("data", "compare", IMPORTS, "--months", 6, "--out", tmp_path / "all.csv", width=width)
    assert code == 0
    assert "japan_customs_press" in out
    assert "the order of sources in data/sources.toml" in " ".join(out.split())
    assert list(pd.read_csv(tmp_path / "all.csv").columns) == [
        "month",
        "japan_customs_press",
        "press_articles",
        "stands",
    ]


@pytest.mark.parametrize("width", [80, 110])
def test_what_differs_little_looks_different(
    tradecast: Run, home: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    stood = workflow.load().panel.y.loc["2026-07", IMPORTS]
    monkeypatch.setenv("UN_KEY", "secret")
    rows = [(IMPORTS, "2026-07", stood + 14.0, "mn_jpy", "fixed", None)]
    monkeypatch.setattr(update, "online", lambda told: serving(un=content("un", *rows)))
    assert tradecast("data", "update", "comtrade")[0] == 0
    code, out, err = tradecast("data", "compare", IMPORTS, "--months", 3, width=width)
    assert (code, err) == (0, "")
    ours, theirs = (f"{one / 1000:.2f}" for one in (stood, stood + 14.0))
    assert ours != theirs
    assert f"{ours} {theirs} ({100 * 14.0 / stood:+.2f} %) japan_customs_press" in " ".join(out.split())


def test_the_spread_of_one_revised_month_is_unknown(tradecast: Run, home: Path) -> None:
    fetch(press(("2026-07", 1.0, "fixed", "2026-10-01")))
    code, out, _ = tradecast("data", "revisions", IMPORTS)
    assert code == 0
    assert re.search(r"provisional +1 +-[\d.]+ +– +", out)
    assert not re.search(r"\bnan\b", out)


def test_ingest_and_a_forecast_as_of_a_day(tradecast: Run, online: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(press(("2026-09", 5e4, "provisional", "2026-10-20")))
    code, out, err = tradecast("data", "ingest", tmp_path / "a.json")
    assert (code, err) == (0, "")
    code, out, err = tradecast("data", "ingest", tmp_path / "a.json", "--source", "fx")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    words = ("forecast", IMPORTS, "--model", "naive", "--paths", 200, "--as-of-day")
    assert "Last published: Aug 2026" in tradecast(*words, "2026-10-19")[1]
    assert "Last published: Sep 2026" in tradecast(*words, "2026-10-20", "--revision-noise")[1]
