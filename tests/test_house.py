"""Rules of the house that no other program checks: import contracts, sizes, names, tables and lock files."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("valle_data", "valle_model", "pipelines")
MAX_LINES = 500
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_the_import_contracts_hold():
    result = subprocess.run([Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:]


def test_a_broken_contract_is_found(tmp_path):
    """The contract on what the model may import is written with wildcards; this shows that they match."""
    packages = {"valle_data": ["shards", "records"], "valle_model": ["good", "bad"], "pipelines": []}
    for package, modules in packages.items():
        (tmp_path / package).mkdir()
        for module in ["__init__", *modules]:
            (tmp_path / package / f"{module}.py").write_text("", encoding="utf-8")
    (tmp_path / "valle_model" / "good.py").write_text("import valle_data.records\n", encoding="utf-8")
    (tmp_path / "valle_model" / "bad.py").write_text("import valle_data.shards\nimport ray\nimport h5py\n", encoding="utf-8")
    (tmp_path / "valle_data" / "records.py").write_text("import pipelines\n", encoding="utf-8")
    config = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(config[config.index("[tool.importlinter]") :], encoding="utf-8")
    command = [sys.executable, "-P", "-c", "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; sys.exit(lint_imports())"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    found = " ".join(result.stdout.split())
    for line in ("valle_model.bad -> valle_data.shards", "valle_model.bad -> ray", "valle_model.bad -> h5py", "valle_data.records -> pipelines"):
        assert line in found, found
    assert "valle_model.good" not in found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_does_one_thing(path):
    num_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert num_lines <= MAX_LINES, f"{path.relative_to(ROOT)} has {num_lines} lines: which second thing does it do?"


def test_no_top_level_module_shadows_the_standard_library():
    names = {path.stem for path in ROOT.glob("*.py")} | {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert not names & set(sys.stdlib_module_names)


def tables() -> Iterator[tuple[str, str, str]]:
    """(file, name, target) of every entry written as `Table(kind, {name: "module:Class"})` in a package's `__init__.py`."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Table" and len(node.args) > 1:
                for name, target in ast.literal_eval(node.args[1]).items():
                    yield str(path.relative_to(ROOT)), name, target


@pytest.mark.parametrize(("file", "name", "target"), list(tables()))
def test_every_table_entry_names_a_class_that_exists(file, name, target):
    module, _, attribute = target.partition(":")
    spec = find_spec(module)
    assert spec and spec.origin, f"{file} names {module} for {name!r}"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    imported = {alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert attribute in defined | imported, f"{file} names {target} for {name!r}"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_pin_by_hash_and_name_no_server(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|@ ", text)
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pins and all(re.match(r"[a-z0-9._-]+==\S+", line) for line in pins)
    assert text.count("--hash=sha256:") >= len(pins)
