"""What a worker is told, and what it says when it cannot work."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.part import PartJob
from tests.prepare_dummies import config, corpus
from tests.toy_codec import ToyCodec
from valle_data.errors import EnvironmentProblem
from valle_data.records import AudioRef, PlannedUtterance, Utterance
from valle_data.shards.plan import PlannedPart

SPEC = ToyCodec(ToyCodec.Config()).spec


def planned(name: str, duration_s: float) -> PlannedUtterance:
    return PlannedUtterance(Utterance(name, AudioRef("a.wav"), "text", "s", "g", "en-us"), "digest", 16000, duration_s, "mark")


def test_a_machine_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    job = PartJob(tmp_path / "elsewhere", config(corpus(tmp_path / "corpus", speakers=1, each=1)), SPEC, "hash")
    with pytest.raises(EnvironmentProblem, match=r"does not see the data set .*elsewhere\. Every machine of a run reads and writes the same folder"):
        job.start()


def test_a_part_weighs_what_its_audio_takes_decoded(tmp_path: Path) -> None:
    job = PartJob(tmp_path, config(corpus(tmp_path / "corpus", speakers=1, each=1)), SPEC, "hash")
    assert job.weight_bytes(PlannedPart(0, ())) == 0
    assert job.weight_bytes(PlannedPart(0, (planned("a", 1.5), planned("b", 0.5)))) == 2 * 16000 * 4
    assert 0 < (job.free_bytes() or 0) < 1 << 60
    assert job.describe(PlannedPart(3, (planned("a", 1.5),))) == "Part 3 (1 utterances from 'a')"


def test_pools_have_every_stage_that_runs(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "corpus", speakers=1, each=1)
    assert [pool.stages for pool in PartJob(tmp_path, config(folder), SPEC, "hash").pools()] == [("decode", "phonemize", "quantize")]
    divided = config(folder, pools=[{"stages": ["decode"], "num_cpus": 0.5}, {"stages": ["phonemize", "quantize"], "num_gpus": 0.5, "workers": 2}])
    assert [pool.workers for pool in PartJob(tmp_path, divided, SPEC, "hash").pools()] == ["auto", 2]
    with pytest.raises(ValidationError, match="name every stage that runs once and in order: decode, phonemize, quantize; these name decode"):
        config(folder, pools=[{"stages": ["decode"]}])
