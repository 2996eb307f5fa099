"""Runs docs/walkthrough.md as a notebook is run; `python -m tests.walkthrough` writes what came out into it."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "walkthrough.md"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:```text\n(?P<said>.*?)```\n)?", re.DOTALL)
IMAGE = re.compile(r"!\[[^\]]*\]\(images/(walkthrough-[\w-]+\.png)\)")


def executed(page: str, folder: Path) -> str:
    """The page with the output of every block as it is now; files are written into the folder."""
    names: dict[str, Any] = {"__name__": "walkthrough"}

    def with_output(block: re.Match[str]) -> str:
        said = output(block["code"], names)
        return f"```python\n{block['code']}```\n" + (f"```text\n{said}```\n" if said else "")

    wide = ("display.width", 120, "display.max_columns", 20, "display.max_rows", 40)
    with contextlib.chdir(folder), pd.option_context(*wide):
        return BLOCK.sub(with_output, page)


def output(code: str, names: dict[str, Any]) -> str:
    """What a cell prints, and the repr of its last line if that is an expression; no blank at the end of a line."""
    body = ast.parse(code).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(ast.Module(body, []), PAGE.name, "exec"), names)
        value = eval(compile(ast.Expression(last.value), PAGE.name, "eval"), names) if last else None
        if value is not None:
            print(repr(value))
    return "".join(f"{line.rstrip()}\n" for line in said.getvalue().splitlines())


def rewrite() -> None:
    """Put today's output and pictures into the page."""
    os.environ.setdefault("TRADECAST_HOME", str(ROOT))
    with tempfile.TemporaryDirectory() as folder:
        page = executed(PAGE.read_text(encoding="utf-8"), Path(folder))
        for name in IMAGE.findall(page):
            small(Path(folder) / name, PAGE.parent / "images" / name)
    PAGE.write_text(page, encoding="utf-8")


def small(drawn: Path, kept: Path) -> None:
    """A picture of half the size and few colours, for a small file."""
    from PIL import Image

    with Image.open(drawn) as picture:
        picture.convert("RGB").reduce(2).quantize(64).save(kept, "PNG", optimize=True)


if __name__ == "__main__":
    rewrite()
