"""`valle metadata`: what it writes, that it is the same every time, and what it refuses."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import metadata
from pipelines.console import Console
from tests.shard_dummies import add_part, coded, empty_dataset, identity, manifest
from valle_data.dataset import Dataset
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError
from valle_data.records import CodedUtterance, Rejection
from valle_data.shards import lock
from valle_data.shards.base import index_path, quarantine_path, record_path, shard_path
from valle_data.shards.commit import commit_part
from valle_data.shards.tar import TarShard


def run(dataset: Path, **options: bool | int | float | str) -> list[dict]:
    """The events of a run without a report that ended well."""
    stdout = io.StringIO()
    assert metadata.run(dataset, console=Console(as_json=True, stdout=stdout), **{"report": False, **options}) is ExitCode.DONE  # type: ignore[arg-type]
    return [json.loads(line) for line in stdout.getvalue().splitlines()]


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def read(dataset: Path, name: str) -> pa.Table:
    return pq.read_table(dataset / "metadata" / name, page_checksum_verification=True)


def with_phones(name: str, phones: str, scores: dict[str, float] | None = None) -> CodedUtterance:
    utterance = coded(name)
    return replace(utterance, phones=tuple(phones), scores=utterance.scores if scores is None else scores)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = empty_dataset(tmp_path / "set")
    add_part(folder, 0, num_utterances=3, rejections=[Rejection("x", "a.wav", "decode", ReasonCode.SILENT_AUDIO, "all zeros")])
    add_part(folder, 2, num_utterances=4, rejections=[Rejection(None, "b.wav", "list", ReasonCode.NOT_AUDIO, "a page")] * 2)
    return folder


def test_merges_committed_parts_in_the_order_of_the_loader(dataset: Path) -> None:
    add_part(dataset, 7)
    record_path(dataset, 7).unlink()
    run(dataset)
    merged, opened = read(dataset, "index.parquet"), Dataset.open(dataset)
    assert merged["utt_id"].to_pylist() == [opened.utterance_id(row) for row in range(len(opened))]
    assert merged["part"].to_pylist() == [0] * 3 + [2] * 4
    splits = read(dataset, "splits.parquet")
    assert splits["utt_id"].to_pylist() == merged["utt_id"].to_pylist()
    assert splits["split"].to_pylist() == merged["split"].to_pylist()
    assert merged.drop_columns(["split"]).equals(pa.concat_tables([pq.read_table(index_path(dataset, part)) for part in (0, 2)]).drop_columns(["split"]))


def test_the_loader_opens_both_splits(dataset: Path) -> None:
    run(dataset, validation_fraction=0.3)
    sizes = [len(Dataset.open(dataset, split)) for split in ("train", "validation")]
    assert sum(sizes) == 7 and all(sizes)


def test_the_same_parts_give_the_same_bytes_and_the_data_is_not_touched(dataset: Path) -> None:
    before = hashes(dataset)
    run(dataset)
    first = hashes(dataset)
    run(dataset)
    assert hashes(dataset) == first
    assert {name: value for name, value in first.items() if not name.startswith("metadata/")} == before
    assert sorted(name for name in first if name not in before) == [
        f"metadata/{name}" for name in ("groups.parquet", "index.parquet", "speakers.parquet", "splits.parquet", "stats.json")
    ]


def test_statistics_are_those_of_a_plain_loop(dataset: Path) -> None:
    more = [coded(f"x{index}", num_frames=50 + 20 * index, speaker=f"t{index % 2}", seed=9) for index in range(5)]
    commit_part(dataset, identity(3, "id3"), more, [], TarShard())
    run(dataset, validation_fraction=0.4)
    rows = read(dataset, "index.parquet").to_pylist()
    speakers = {row["speaker"]: row for row in read(dataset, "speakers.parquet").to_pylist()}
    assert list(speakers) == ["s", "t0", "t1"]
    for name, found in speakers.items():
        mine = [row for row in rows if row["speaker"] == name]
        total_s = sum(row["duration_s"] for row in mine)
        assert found["num_utterances"] == len(mine)
        assert found["num_validation"] == sum(row["split"] == "validation" for row in mine)
        assert found["hours"] == pytest.approx(total_s / 3600)
        assert found["mean_duration_s"] == pytest.approx(total_s / len(mine))
        assert (found["min_duration_s"], found["max_duration_s"]) == (min(row["duration_s"] for row in mine), max(row["duration_s"] for row in mine))
        assert found["phones_per_s"] == pytest.approx(sum(row["num_phones"] for row in mine) / total_s)
    (group,) = read(dataset, "groups.parquet").to_pylist()
    assert (group["group"], group["num_speakers"], group["num_utterances"]) == ("g", 3, 12)


def test_stats_json_counts_phones_quarantine_and_splits(dataset: Path) -> None:
    phones = manifest().vocabulary.symbols
    run(dataset, validation_fraction=0.3)
    stats = json.loads((dataset / "metadata" / "stats.json").read_text())
    assert stats["phones"]["counts"] == dict.fromkeys(phones, 7) and stats["phones"]["never_seen"] == []
    assert stats["quarantine"] == {"reasons": {"not_audio": 2, "silent_audio": 1}, "stages": {"decode": 1, "list": 2}}
    assert sum(split["num_utterances"] for split in stats["splits"]) == stats["totals"]["num_utterances"] == 7
    durations = next(item for item in stats["histograms"] if item["name"] == "duration")
    assert sum(durations["counts"]) + durations["num_below"] + durations["num_above"] == 7
    for name, sha256 in stats["files"].items():
        assert hashlib.sha256((dataset / "metadata" / name).read_bytes()).hexdigest() == sha256


def test_a_phone_that_nobody_says_is_listed(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    commit_part(folder, identity(), [with_phones("a", "wn")], [], TarShard())
    events = run(folder)
    assert json.loads((folder / "metadata" / "stats.json").read_text())["phones"]["never_seen"] == ["ˈ", "ʌ"]
    table = next(event for event in events if event["event"] == "table")
    assert {"what": "phones never seen", "count": 2} in table["rows"]


def test_a_phone_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    commit_part(folder, identity(), [coded("a"), with_phones("b", "wx")], [], TarShard())
    with pytest.raises(InputError, match=r"unknown_phone: .*part-000000.parquet: b has the phone 'x', which is not among the 4 "):
        run(folder)
    assert not (folder / "metadata" / "stats.json").exists()


@pytest.mark.parametrize("num_utterances", [0, 1, 2])
def test_small_data_sets(tmp_path: Path, num_utterances: int) -> None:
    folder = empty_dataset(tmp_path / "set")
    if num_utterances:
        add_part(folder, 0, num_utterances=num_utterances)
    events = run(folder, validation_fraction=0.9)
    splits = read(folder, "splits.parquet")["split"].to_pylist()
    assert sorted(splits) == [[], ["train"], ["train", "validation"]][num_utterances]
    assert any("has no utterances" in event.get("message", "") for event in events) == (num_utterances == 0)


def test_scores_that_were_not_computed_count_as_missing(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    commit_part(folder, identity(), [coded("a"), with_phones("b", "wn", scores={})], [], TarShard())
    run(folder)
    rms = next(item for item in json.loads((folder / "metadata" / "stats.json").read_text())["histograms"] if item["name"] == "rms_dbfs")
    assert (sum(rms["counts"]), rms["num_missing"], rms["mean"]) == (1, 1, -20.0)


def test_two_parts_with_one_utterance_are_refused(dataset: Path) -> None:
    commit_part(dataset, identity(5, "id5"), [coded("p0-u0")], [], TarShard())
    with pytest.raises(InputError, match="duplicate_id: Utterance p0-u0 is in two parts of"):
        run(dataset)


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing_shard: .* is not a prepared data set: it has no dataset.json"):
        run(tmp_path)
    with pytest.raises(InputError, match="missing_shard"):
        run(tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path_of", [index_path, quarantine_path])
def test_a_damaged_part_is_refused_and_earlier_metadata_stays(dataset: Path, path_of: Callable[[Path, int], Path]) -> None:
    run(dataset)
    before = hashes(dataset / "metadata")
    data = bytearray(path_of(dataset, 2).read_bytes())
    data[40] ^= 4
    path_of(dataset, 2).write_bytes(data)
    with pytest.raises(InputError, match=r"corrupt_shard: .*part-000002.parquet has sha256"):
        run(dataset)
    assert hashes(dataset / "metadata") == before


def test_missing_shards_do_not_hinder_statistics_but_the_check_names_them(dataset: Path) -> None:
    shard_path(dataset, 2).unlink()
    run(dataset)
    console = Console(as_json=True, stdout=io.StringIO())
    assert metadata.run(dataset, console=console, check=True) is ExitCode.RUN_FAILED


def test_a_folder_that_another_run_holds_is_refused(dataset: Path) -> None:
    (dataset / "metadata").mkdir()
    with lock.hold(dataset / "metadata", take_over=False, note=print), pytest.raises(InputError, match="output_locked"):
        run(dataset)


def test_splitting_one_speaker_by_speaker_is_refused_with_the_way_out(dataset: Path) -> None:
    with pytest.raises(UsageError, match=r"needs two speakers, this data set has one \('g/s'\). Use --split-by utterance"):
        run(dataset, split_by="speaker")


def test_another_rule_says_how_many_move(dataset: Path) -> None:
    run(dataset, validation_fraction=0.5, seed=1)
    assert not [event for event in run(dataset, validation_fraction=0.5, seed=1) if event["event"] == "warning"]
    before = read(dataset, "splits.parquet")["split"].to_pylist()
    warnings = [event["message"] for event in run(dataset, validation_fraction=0.5, seed=2) if event["event"] == "warning"]
    moved = sum(old != new for old, new in zip(before, read(dataset, "splits.parquet")["split"].to_pylist(), strict=True))
    assert moved and warnings == [f"{moved} utterances change sides, because the splits were made by another rule before."]


def test_copies_and_namesakes_count_as_what_they_are(tmp_path: Path) -> None:
    """Copies of one recording are on one side of the split; one name in two groups is two speakers."""
    folder = empty_dataset(tmp_path / "set")
    for part, group in enumerate(("a", "b")):
        members = [coded(f"u{part}-{index}", speaker="01") for index in range(20)]
        members = [replace(member, utterance=replace(member.utterance, group=group), source_digest=f"{index:032x}") for index, member in enumerate(members)]
        commit_part(folder, identity(part, f"id{part}"), members, [], TarShard())
    run(folder, validation_fraction=0.5)
    splits = dict(zip(read(folder, "splits.parquet")["utt_id"].to_pylist(), read(folder, "splits.parquet")["split"].to_pylist(), strict=True))
    assert all(splits[f"u0-{index}"] == splits[f"u1-{index}"] for index in range(20)) and len(set(splits.values())) == 2
    stats = json.loads((folder / "metadata/stats.json").read_text())
    assert stats["totals"]["num_speakers"] == 2 and stats["languages"][0]["num_speakers"] == 2
    assert [split["num_speakers"] for split in stats["splits"]] == [2, 2]


def test_a_merge_keeps_the_rule_that_a_split_has_stated(dataset: Path, tmp_path: Path) -> None:
    listed = tmp_path / "heldout.txt"
    listed.write_text("p0-u1 test\np2-u0 validation\n", encoding="utf-8")
    console = Console(as_json=True, stdout=io.StringIO())
    assert metadata.split(dataset, console=console, options=metadata.SplitOptions(list_file=listed)) is ExitCode.DONE
    expected = ["train", "test", "train", "validation", "train", "train", "train"]
    assert read(dataset, "splits.parquet")["split"].to_pylist() == expected
    listed.unlink()
    run(dataset)
    assert read(dataset, "index.parquet")["split"].to_pylist() == expected
    stats = json.loads((dataset / "metadata/stats.json").read_text())
    assert [(split["name"], split["num_utterances"]) for split in stats["splits"]] == [("train", 5), ("validation", 1), ("test", 1)]
    assert [len(Dataset.open(dataset, split)) for split in ("train", "validation", "test")] == [5, 1, 1]
    (dataset / "metadata/split_list.txt").unlink()
    with pytest.raises(InputError, match=r"split_list.txt is not the list that the split was made by. State the split again"):
        run(dataset)
    run_split = metadata.split(dataset, console=console, options=metadata.SplitOptions(validation_where="utt_id like 'p2*'"))
    assert run_split is ExitCode.DONE and read(dataset, "splits.parquet")["split"].to_pylist() == ["train"] * 3 + ["validation"] * 4
    with pytest.raises(UsageError, match="there is no column 'speeker'"):
        metadata.split(dataset, console=console, options=metadata.SplitOptions(test_where="speeker = 'a'"))
    with pytest.raises(InputError, match=r"The list .*nowhere.txt cannot be read: No such file or directory"):
        metadata.split(dataset, console=console, options=metadata.SplitOptions(list_file=tmp_path / "nowhere.txt"))
