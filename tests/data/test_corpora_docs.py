"""The page on corpora shows configurations that are valid, and names every corpus."""

import re

import yaml

from tests.conftest import ROOT
from valle_data.corpora import CORPORA
from valle_data.corpora.base import CorpusConfig

PAGE = (ROOT / "docs/corpora.md").read_text(encoding="utf-8")


def test_every_example_is_valid_and_every_corpus_has_one() -> None:
    shown = set()
    for block in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL):
        given = yaml.safe_load(block)["corpus"]
        config = CORPORA[given["name"]].Config.model_validate(given)
        assert isinstance(config, CorpusConfig)
        shown.add(given["name"])
    assert shown == set(CORPORA) == set(re.findall(r"^\| `(?!name)(\w+)` \|", PAGE, flags=re.MULTILINE))


def test_the_licences_of_the_page_are_those_of_the_corpora() -> None:
    rows = {
        row[0]: row[3]
        for row in (re.split(r" \| ?", line.strip("| ")) for line in PAGE.splitlines() if line.startswith("| `") and "`name`" not in line)
        if len(row) > 3
    }
    for name, licence in ((name.strip("`"), cell) for name, cell in rows.items()):
        own = CORPORA[name].Config.model_fields["licence"].default
        assert not own or own.removesuffix(" only").split(" 1.0")[0] in licence, name
