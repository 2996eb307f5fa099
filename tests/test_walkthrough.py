"""The walkthrough says what its code says today."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.walkthrough import IMAGE, PAGE, ROOT, executed, output


def test_every_block_runs_and_says_what_stands_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADECAST_HOME", str(ROOT))
    page = PAGE.read_text(encoding="utf-8")
    again = executed(page, tmp_path)
    assert again.splitlines() == page.splitlines(), "run: python -m tests.walkthrough"
    names = IMAGE.findall(page)
    assert len(names) == 2
    for name in names:
        with Image.open(tmp_path / name) as drawn, Image.open(PAGE.parent / "images" / name) as kept:
            assert abs(drawn.width / 2 - kept.width) <= 1
            assert abs(drawn.height / 2 - kept.height) <= 1
        assert (PAGE.parent / "images" / name).stat().st_size < 120_000
    assert (tmp_path / "report.xlsx").read_bytes().startswith(b"PK")


def test_a_cell_shows_what_a_notebook_would() -> None:
    names: dict[str, object] = {}
    assert output("a = 1\nprint('x ')\na + 1", names) == "x\n2\n"
    assert output("a = 3", names) == ""
    assert output("print(a)", names) == "3\n"
