"""docs/stages.md names every stage, column, method and recogniser, and its configurations are read."""

import re
from pathlib import Path

import pytest
import yaml

from valle_data.config import stage_options
from valle_data.recognisers import RECOGNISERS
from valle_data.segmenters import SEGMENTERS
from valle_data.stages import ALWAYS, STAGES

PAGE = (Path(__file__).parents[2] / "docs/stages.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_and_its_columns_are_described(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    missing = [column for column in STAGES[name].columns if f"`{column}`" not in row]
    assert not missing


def test_stages_stand_in_the_order_in_which_they_run() -> None:
    assert [name for name in re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) if name in STAGES] == list(STAGES)


@pytest.mark.parametrize("name", [*SEGMENTERS, *RECOGNISERS])
def test_every_method_and_recogniser_is_described(name: str) -> None:
    assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_configurations_on_the_page_are_read(block: str) -> None:
    assert stage_options(STAGES, ALWAYS).model_validate(yaml.safe_load(block))
