"""What `valle prepare` can be asked beside its work: limits, several corpora, retries, status, dry runs, large restarts."""

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from pipelines import prepare_intake
from pipelines.console import Console
from pipelines.prepare import PrepareOptions
from pipelines.prepare_forecast import dry_run
from pipelines.prepare_status import status
from tests.pipelines.test_prepare import quarantined, rows
from tests.prepare_dummies import config, corpus, recording, result, run
from valle_data.corpora import CORPORA
from valle_data.dataset import Dataset
from valle_data.errors import ExitCode, InputError
from valle_data.shards import lock
from valle_data.shards.base import record_path
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import committed_parts
from valle_data.shards.plan import PlannedPart, committed_numbers, plan_files, unfinished_parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return corpus(tmp_path / "corpus")


def values(said: str) -> dict[str, object]:
    """The rows of the table that was shown."""
    tables = [json.loads(line) for line in said.splitlines() if '"table"' in line]
    return {row["what"]: row["value"] for row in tables[-1]["rows"]}


def shown(action: object, *arguments: object) -> dict[str, object]:
    said = io.StringIO()
    assert action(*arguments, Console(stdout=said, as_json=True)) is ExitCode.DONE  # pyright: ignore[reportCallIssue]
    return values(said.getvalue())


@pytest.mark.parametrize("limits", [[5, 5, 5], [1, None], [12], [100]])
def test_a_limit_plans_so_much_and_the_next_run_goes_on(limits: list[int | None], folder: Path, tmp_path: Path) -> None:
    for limit, total in zip(limits, itertools.accumulate(limit or 100 for limit in limits), strict=True):
        assert run(config(folder), tmp_path / "set", options=PrepareOptions(limit=limit))[0] is ExitCode.DONE
        assert len(rows(tmp_path / "set")) == min(total, 12)
    assert check_dataset(tmp_path / "set") == []


def test_several_corpora_share_a_data_set_and_keep_their_ids_apart(folder: Path, tmp_path: Path) -> None:
    other = corpus(tmp_path / "other", speakers=1)
    for path in other.rglob("*.wav"):
        recording(other, "s0", path.stem, seed=7 + len(path.stem), duration_s=0.3 + int(path.stem[1:]) / 10)
    entries = [CORPORA["folder"].Config(root=root, label=label, language="en-us") for root, label in ((folder, "first"), (other, "se/cond"))]
    assert run(config(folder, corpus=None, corpora=entries, duplicate_audio="keep"), tmp_path / "set")[0] is ExitCode.DONE
    found = rows(tmp_path / "set")
    assert len(found) == 16 and check_dataset(tmp_path / "set") == []
    assert {(row["corpus"], row["utt_id"].split("-")[0]) for row in found} == {("first", "first"), ("se/cond", "se_cond")}
    assert run(config(folder, corpus=None, corpora=entries, duplicate_audio="keep"), tmp_path / "set")[0] is ExitCode.DONE
    assert len(rows(tmp_path / "set")) == 16


def test_neither_or_both_of_corpus_and_corpora_is_refused(folder: Path) -> None:
    entry = CORPORA["folder"].Config(root=folder)
    for changes in ({"corpus": None}, {"corpora": [entry]}):
        with pytest.raises(ValueError, match="names one `corpus`, or a list of `corpora`"):
            config(folder, **changes)
    with pytest.raises(ValueError, match="a `label` of its own; 'folder' occurs twice"):
        config(folder, corpus=None, corpora=[entry, entry])


def test_what_was_refused_is_tried_again_when_asked(folder: Path, tmp_path: Path) -> None:
    recording(folder, "s0", "long", seed=77, duration_s=3.0, text="a long one")
    (folder / "train" / "s1" / "page.wav").write_bytes(b"<html>")
    strict = {"max_quarantine_fraction": 1.0, "decode": {"max_duration_s": 2.0}}
    output = tmp_path / "set"
    assert run(config(folder, **strict), output)[0] is ExitCode.DONE
    assert {row["reason"] for row in quarantined(output)} == {"too_long", "not_audio"}
    before = result(output)
    assert run(config(folder, **strict), output)[0] is ExitCode.DONE
    assert result(output) == before, "not tried again unasked"
    code, said = run(config(folder, **strict), output, options=PrepareOptions(retried=("too_long",)))
    assert code is ExitCode.DONE and len(committed_parts(output)) > len({name for name in before if name.endswith(".json")}) - 1
    assert '"too_long"' in said or "too_long" in said
    summary = [json.loads(line) for line in said.splitlines() if '"table"' in line][-1]["rows"]
    assert {row["what"].strip(): row["count"] for row in summary}["in quarantine"] == 2, "refused twice counts once"


def test_status_says_how_far_it_is_and_who_is_at_it(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    run(config(folder), output)
    found = shown(status, output)
    assert found["utterances"] == 12 and found["parts planned and not finished"] == 0 and found["worked on by"] == "nobody"
    assert found["stages"] == "decode, phonemize, quantize"
    for path in [output / "shards" / f"part-00000{part}.json" for part in (0, 2)]:
        path.unlink()
    with lock.hold(output, take_over=False, note=print):
        found = shown(status, output)
    assert found["parts planned and not finished"] == 2 and float(str(found["hours planned and not finished"])) > 0
    assert str(found["worked on by"]).startswith("pid ")


def test_a_dry_run_forecasts_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "s1" / "page.wav").write_bytes(b"<html>")
    recording(folder, "s0", "mute", seed=77, text=None)
    output = tmp_path / "set"
    found = shown(dry_run, config(folder), output, 2)
    assert not output.exists()
    assert found["utterances listed"] == 14 and found["usable among them"] == 12 and found["  not_audio"] == 1 and found["  missing_text"] == 1
    run(config(folder, max_quarantine_fraction=1.0), output)
    summary = shown(status, output)
    assert float(str(found["hours"])) == pytest.approx(sum(float(row["duration_s"]) for row in rows(output)) / 3600, abs=0.0006)
    assert abs(int(str(found["parts, about"])) - int(str(summary["parts finished"]))) <= 3
    on_disk = sum(path.stat().st_size for path in (output / "shards").iterdir() if path.suffix != ".json")
    assert float(str(found["disk, MB"])) == pytest.approx(on_disk / 1e6, rel=0.6, abs=0.11)
    assert float(str(found["hours per hour and worker"])) > 0
    before = result(output)
    assert shown(dry_run, config(folder, max_quarantine_fraction=1.0), output, 2)["usable among them"] == 0
    assert result(output) == before


@pytest.mark.parametrize("change", ["nothing", "a recording is gone", "a recording is another"])
def test_a_large_data_set_finishes_what_is_planned_before_it_lists(change: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "set"
    run(config(folder), output)
    undisturbed = result(output)
    victim = folder / "train" / "s2" / "u3.wav"
    for number in {row["part"] for row in rows(output) if row["source_uri"] == str(victim)} | {1}:
        record_path(output, number).unlink()
    monkeypatch.setattr(prepare_intake, "LIST_FIRST_BELOW", 1)
    if change == "a recording is gone":
        victim.unlink()
    elif change == "a recording is another":
        recording(folder, "s2", "u3", seed=99, duration_s=0.55, text="text 3 of 2")
    code, said = run(config(folder), output)
    assert code is ExitCode.DONE and check_dataset(output) == []
    if change == "nothing":
        assert result(output) == undisturbed
        return
    assert "1 parts were planned; they are planned anew" in said
    run(config(folder), tmp_path / "new")
    found, expected = ({row["utt_id"]: row["source_digest"] for row in rows(each)} for each in (output, tmp_path / "new"))
    assert found == expected


def test_only_plan_files_with_unfinished_parts_are_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare_intake, "PARTS_PER_FILE", 2)
    output = tmp_path / "set"
    run(config(folder), output)
    files = plan_files(output)
    assert [(file.first, file.last) for file in files][:2] == [(0, 1), (2, 3)]
    files[0].path.write_bytes(b"nobody looks at me")
    assert list(unfinished_parts(output, committed_numbers(output))) == []
    (output / "shards" / "part-000002.json").unlink()
    assert [part.part for part in unfinished_parts(output, committed_numbers(output))] == [2]


def test_shards_have_the_format_that_was_asked_for(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "corpus", speakers=1, each=3)
    for name in ("tar", "hdf5"):
        assert run(config(folder, shards=name), tmp_path / name)[0] is ExitCode.DONE
    tar, hdf5 = Dataset.open(tmp_path / "tar"), Dataset.open(tmp_path / "hdf5")
    assert {record.shard.rpartition(".")[2] for record in committed_parts(tmp_path / "hdf5")} == {"h5"} and check_dataset(tmp_path / "hdf5") == []
    assert len(tar) == len(hdf5) == 3 and all(np.array_equal(tar.codes(row), hdf5.codes(row)) for row in range(3))


def test_the_executor_of_the_configuration_gives_way_to_flags() -> None:
    from pipelines.cli_prepare import _executor
    from pipelines.executors import EXECUTORS

    local = EXECUTORS["local"].Config(workers=3, max_attempts=7)
    assert _executor(local, None, None) == local
    assert _executor(local, 5, None) == EXECUTORS["local"].Config(workers=5, max_attempts=7)
    assert _executor(None, None, None).workers >= 1
    with pytest.raises(ValueError, match="`--workers` is at least 1 there"):
        _executor(None, 0, "auto")


def test_what_was_taken_out_of_the_corpus_is_no_longer_counted(folder: Path, tmp_path: Path) -> None:
    bad = recording(folder, "s0", "mute", seed=7, text=None)
    strict = config(folder, max_quarantine_fraction=0.0)
    assert run(strict, tmp_path / "set")[0] is ExitCode.TOO_MANY_QUARANTINED
    bad.unlink()
    assert run(strict, tmp_path / "set")[0] is ExitCode.DONE


def test_a_part_that_a_late_worker_of_another_plan_committed_is_found(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "set"
    run(config(folder), output)
    (output / "shards" / "part-000001.json").unlink()
    part = next(unfinished_parts(output, committed_numbers(output)))
    run(config(folder), output)
    from pipelines.part import committed

    other = PlannedPart(part.part, part.utterances[:1])
    record = committed_parts(output)[1]
    assert committed(output, part, record.config_hash) == record
    with pytest.raises(InputError, match="a worker of an earlier plan finished late"):
        committed(output, other, record.config_hash)
