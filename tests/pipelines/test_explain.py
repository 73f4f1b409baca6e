"""`valle explain`: every code has a meaning and a remedy; a typo finds its code."""

import io
import json

import pytest

from pipelines import explain
from pipelines.console import Console
from valle_data.errors import EXPLANATIONS, ExitCode, ReasonCode, UsageError


def test_every_reason_code_is_explained_in_sentences():
    assert set(EXPLANATIONS) == set(ReasonCode)
    assert [text for entry in EXPLANATIONS.values() for text in (entry.meaning, entry.remedy) if not text.endswith(".")] == []
    assert set(explain.EXIT_CODES) == set(ExitCode)


@pytest.mark.parametrize("code", ["truncated_audio", "truncated-audio", " TRUNCATED_AUDIO "])
def test_one_code(code):
    out = io.StringIO()
    assert explain.run(code, Console(stdout=out)) == ExitCode.DONE
    entry = EXPLANATIONS[ReasonCode.TRUNCATED_AUDIO]
    assert out.getvalue() == f"truncated_audio\n  {entry.meaning}\n  What to do: {entry.remedy}\n"


def test_all_codes_for_a_program():
    out = io.StringIO()
    explain.run(None, Console(as_json=True, stdout=out))
    reasons, exits = (json.loads(line) for line in out.getvalue().splitlines())
    assert [row["code"] for row in reasons["rows"]] == [str(reason) for reason in ReasonCode]
    assert [row["code"] for row in exits["rows"]] == [0, 1, 2, 3, 4, 75, 130]


def test_an_unknown_code_is_a_usage_error_with_the_nearest():
    with pytest.raises(UsageError, match=r"There is no reason code 'corupt_shard'\. Did you mean 'corrupt_shard'\?") as caught:
        explain.run("corupt_shard", Console(stdout=io.StringIO()))
    assert caught.value.exit_code == 2
