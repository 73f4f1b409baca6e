"""The documentation is true: links lead somewhere, commands exist, the tests named in the fault table are there."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name} links {target}"


def test_the_fault_table_names_tests_that_exist() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (ROOT / "docs/faults.md").read_text(encoding="utf-8"))
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in sources.get(file, "")]
    assert named and not missing


def test_the_file_map_names_files_that_exist() -> None:
    block = (ROOT / "README.md").read_text(encoding="utf-8").split("## File map")[1].split("```")[1]
    folder = ""
    for line in block.strip().splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split()
        folder = names[0] if not line.startswith(" ") else folder
        for name in names:
            assert (ROOT / name).exists() or (ROOT / folder / name).exists(), f"{folder}{name}"


def test_commands_of_the_documentation_exist() -> None:
    from pipelines.cli import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups}
    for page in PAGES:
        for command in re.findall(r"^valle ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
            assert command in known, f"{page.name}: valle {command}"
