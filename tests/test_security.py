"""What must not happen: code out of data, doors open to the network, files outside of their folders, secrets shown.

Formulas and markup: test_store, test_report_book, test_report, test_notebook. Keys of publishers: test_fetching,
test_sources_estat_api, test_sources_contract. Passwords of tracking stores: test_tracking, test_tracking_scenarios.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from forecasting import store, tracking
from forecasting.errors import LONGEST, DataError, ForecastingError
from forecasting.experiments_file import read_experiment
from forecasting.scenario_file import read_scenario
from forecasting.sources.user_file import read_observations

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "forecasting"
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "jsonpickle", "skops"}
STARTING = {"subprocess": {"git.py"}}
"""Modules that start other programs: of git, the state of the project."""
PIPES = {"compute.py"}
"""Pickles only between a process and the children that it started itself, and over Dask's own connections."""
BY_NAME = {"sources/registry.py", "models/__init__.py"}
"""Where a module is imported by its name, out of a table in the source."""
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "read_pickle",
    "to_pickle",
    "system",
    "popen",
    "execv",
    "unpack_archive",
}


def sources() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> set[str]:
    nodes = list(ast.walk(tree))
    plain = {name.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return plain | {str(node.module).partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}


def called(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Functions by the last part of their names; those of ``re`` are none of ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            of = getattr(getattr(node.func, "value", None), "id", "")
            yield ("" if of == "re" else getattr(node.func, "id", getattr(node.func, "attr", ""))), node


# --- Code out of data --------------------------------------------------------------------------------------


def test_nothing_is_unpickled_or_run_and_few_modules_start_programs() -> None:
    for name, tree in sources():
        found = imported(tree)
        assert not found & UNPICKLING - ({"pickle"} if name in PIPES else set()), name
        assert all(name in allowed for module, allowed in STARTING.items() if module in found), name
        assert not {one for one, _ in called(tree)} & CALLS, name
        assert "import_module" not in {one for one, _ in called(tree)} or name in BY_NAME, name


def test_arrays_are_read_without_pickles_and_no_shell_is_used() -> None:
    seen = 0
    for name, tree in sources():
        for function, node in called(tree):
            given = {one.arg: one.value for one in node.keywords}
            if function in ("load", "savez", "save") and getattr(getattr(node.func, "value", None), "id", "") == "np":
                seen += 1
                assert getattr(given.get("allow_pickle"), "value", None) is False, name
            assert "shell" not in given, name
    assert seen == 2  # the cache, in and out


def test_a_cache_with_a_pickle_in_it_is_no_cache(tmp_path: Path) -> None:
    cache = store.Cache(tmp_path)
    cache.put("k", {"a": np.arange(3.0)})
    (path,) = tmp_path.glob("*.arrays")
    evil = io.BytesIO()
    np.savez(evil, a=np.array([Touch(tmp_path / "touched")], dtype=object))
    path.write_bytes(store._seal("k", evil.getvalue()) + b"\n" + evil.getvalue())  # sealed as one of ours
    assert cache.get("k") is None
    assert not (tmp_path / "touched").exists()


class Touch:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_a_parquet_file_that_asks_to_be_unpickled_is_only_data(tmp_path: Path) -> None:
    asks = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Touch(tmp_path / "touched")),
    }
    schema = pa.schema([pa.field("month", pa.string()), pa.field("oil", pa.float64(), metadata=asks)])
    table = pa.table({"month": ["2024-01", "2024-02", "2024-03"], "oil": [1.0, 2.0, 3.0]}, schema=schema)
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read_observations(tmp_path / "a.parquet").observations["value"].tolist() == [1, 2, 3]
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("entity", ['"' + "&b;" * 10 + '"', 'SYSTEM "file:///etc/hostname"'])
def test_a_workbook_whose_xml_expands_or_reaches_outside_is_refused(tmp_path: Path, entity: str) -> None:
    path = tmp_path / "a.xlsx"
    pd.DataFrame({"month": ["2024-01", "2024-02", "2024-03"], "oil": [1.0, 2.0, 3.0]}).to_excel(path, index=False)
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name).decode() for name in book.namelist()}
    levels = "".join(f'<!ENTITY {b} "{f"&{c};" * 10}">' for b, c in zip("bcdefgh", "cdefghi", strict=True))
    head = f'<!DOCTYPE x [<!ENTITY a {entity}>{levels}<!ENTITY i "oil">]>'
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = head + sheet[sheet.index("<worksheet") :].replace("oil", "&a;")
    with zipfile.ZipFile(path, "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)
    with pytest.raises(DataError, match=r"document type"):
        read_observations(path)


# --- The network -------------------------------------------------------------------------------------------


def test_only_mlflow_listens_and_only_on_this_machine() -> None:
    command, surroundings = tracking.server_command("sqlite:///x.db", 5000)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert "sqlite" not in " ".join(command)
    assert surroundings["MLFLOW_DISABLE_TELEMETRY"] == "true"
    for name, tree in sources():
        texts = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not texts & {"0.0.0.0", "::", "*:5000"}, name
        assert not imported(tree) & {"http", "socketserver", "flask", "fastapi", "uvicorn"}, name
        # One client asks the publishers, another the tracking store.
        asks = imported(tree) & {"requests", "urllib3", "aiohttp", "httpx", "ftplib"}
        assert not asks or name in ("sources/fetching.py", "tracking_client.py"), name


# --- Names that become files -------------------------------------------------------------------------------

NAMES = (
    "../x", "/etc/x", "a/b", "a\\b", "C:x", ".hidden", "x" * 61, "", "a\0b", "con", "NUL", "com1.txt", "Aux.toml",
    "a.", "..",
    "ä", "٣",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_would_leave_its_folder_or_be_a_device_is_refused(tmp_path: Path, name: str) -> None:
    said = name.replace("\\", "\\\\").replace("\0", "\\u0000")
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "{said}"\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"mine.toml: name is .*use letters, digits, - _ and \."):
        read_scenario(path, {})
    path.write_text(
        f'name = "{said}"\nseries = "a"\ncutoffs = ["2024-01"]\n[[forecasters]]\nmodel = "theta"\n', encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"mine.toml: name is .*use letters, digits, - _ and \."):
        read_experiment(path)


def test_nothing_is_ever_unpacked_to_disk() -> None:
    for name, tree in sources():
        assert not {one for one, _ in called(tree)} & {"extractall", "extract"}, name
        assert "tarfile" not in imported(tree), name


# --- What is said ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evil", ["\x1b]0;title\x07", "a\nb\r\nc", "\u202egpj.exe", "\x00", "x" * 100_000])
def test_an_error_is_one_printable_line_that_fits_whatever_was_found(evil: str) -> None:
    said = str(ForecastingError(f"Found {evil}: write a month."))
    assert said.isprintable()
    assert len(said) <= LONGEST
    assert said.startswith("Found ")
    assert said.endswith(": write a month.")


# --- The audit of dependencies -----------------------------------------------------------------------------

KNOWN = {"dependencies": [{"name": "jinja2", "version": "2.10", "vulns": [{"id": "X"}]}]}
FLAW = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2"]}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize(
    ("canary", "pins", "accepted", "code", "said"),
    [
        ({}, [], {}, 0, "NOT AUDITED"),
        ({"dependencies": [{"name": "jinja2", "skip_reason": "x"}]}, [], {}, 0, "NOT AUDITED"),
        (KNOWN, [{"name": "a", "version": "1", "vulns": []}], {}, 0, "1 pinned versions audited, 0 vuln"),
        (KNOWN, [{"name": "a", "version": "1", "vulns": [FLAW]}], {}, 1, "PYSEC-1, mended by 2. NO EXCEPTION"),
        (KNOWN, [{"name": "a", "version": "1", "vulns": [FLAW]}], {"CVE-1": "not used"}, 0, "mended by 2. not used"),
        (KNOWN, [{"name": "a", "skip_reason": "x"}], {}, 1, "about none of the pins"),
    ],
)
def test_the_audit_is_red_for_a_vulnerability_and_not_for_no_network(audit, canary, pins, accepted, code, said) -> None:
    found, lines = audit.verdict(canary, {"dependencies": pins}, accepted)
    assert found == code
    assert said in "\n".join(lines)


def test_every_exception_of_the_audit_has_its_reason(audit) -> None:
    audit.exceptions(audit.EXCEPTIONS.read_text(encoding="utf-8"))
    assert audit.exceptions("# words\nCVE-1 # not used\n") == {"CVE-1": "not used"}
    with pytest.raises(SystemExit, match="write an identifier and its reason"):
        audit.exceptions("CVE-1\n")
