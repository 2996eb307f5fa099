"""The house itself: floors, what is tracked, what the README promises."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from forecasting.models import MODELS

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    "forecast", "news", "data list", "data show", "data check",
    "data reconstruct", "backtest", "backtest show", "backtest list", "ui",
    "champion propose", "champion promote", "track sync",
)  # fmt: skip


def run(*words: str, **options) -> subprocess.CompletedProcess:
    code = "from forecasting.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT, **options)


def test_floors_hold() -> None:
    made = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], capture_output=True, text=True, cwd=ROOT
    )
    assert made.returncode == 0, made.stdout


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; from forecasting.cli import main; sys.argv = ['tradecast', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'pandas', 'numpy', 'scipy', 'statsmodels', 'sklearn', 'mlflow', 'matplotlib', 'pandera'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_stands_in_the_readme(command: str) -> None:
    made = run(*command.split(), "--help")
    assert made.returncode == 0
    assert "Usage" in made.stdout
    assert f"tradecast {command}" in (ROOT / "README.md").read_text()


def test_every_option_of_forecast_is_in_its_help() -> None:
    text = run("forecast", "--help").stdout
    options = ("--horizon", "--model", "--coverage", "--paths", "--seed", "--as-of", "--data", "--out", "--plot")
    assert all(option in text for option in options)


def test_every_dependency_has_its_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start = lines.index("dependencies = [")
    stop = lines.index("]", start)
    assert all("#" in line for line in lines[start + 1 : stop])
    tomllib.loads("\n".join(lines))


def test_constraints_name_no_place_and_pin_every_dependency() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in text.splitlines() if "==" in line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = {re.split(r"[<>=\[ ]", one)[0].lower() for one in needed}
    assert names <= pinned


def test_no_absolute_path_of_a_machine_is_tracked() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    found = subprocess.run(
        ["git", "grep", "-nIE", r"(^|[^A-Za-z0-9_.])/(home|root|Users|work)/[A-Za-z0-9_.-]+", "--", ".", ":!tests"],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert found.stdout == ""


def test_models_have_one_file_each() -> None:
    for name, where in MODELS.items():
        assert where.startswith(f"forecasting.models.{name}:")
        assert (ROOT / "forecasting" / "models" / f"{name}.py").exists()


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


@pytest.mark.parametrize("script", sorted(ROOT.glob("experiments/**/*.py")), ids=lambda one: one.name)
def test_what_a_script_takes_from_the_package_is_there(script: Path) -> None:
    """Scripts run for hours and not in CI: a name that has moved must not be found out by the next campaign."""
    nodes = list(ast.walk(ast.parse(script.read_text(encoding="utf-8"))))
    modules = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "forecasting":
            for one in node.names:
                inner = _module(f"{node.module}.{one.name}")
                assert inner or hasattr(_module(str(node.module)), one.name), f"{node.module} has no {one.name}"
                modules[one.asname or one.name] = inner
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (of := modules.get(node.value.id)):
            assert hasattr(of, node.attr) or _module(f"{of.__name__}.{node.attr}"), f"{of.__name__} has no {node.attr}"
