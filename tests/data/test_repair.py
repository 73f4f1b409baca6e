"""Whatever is damaged, swapped, missing or too much: what is whole stays or comes back, nothing is deleted, and what is given up is said."""

import io
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines import repair as command
from pipelines.console import Console
from tests.shard_dummies import add_part, coded, empty_dataset, identity, manifest
from valle_data import files
from valle_data.dataset import Dataset
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError
from valle_data.records import PlannedUtterance, Rejection
from valle_data.shards import SHARDS
from valle_data.shards.base import index_path, part_name, quarantine_path, record_path, shard_path, side_path
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import CommitRecord, commit_part, committed_parts, read_part_index, read_quarantine, read_vectors
from valle_data.shards.plan import PlannedPart, save_plan
from valle_data.shards.repair import Kind, Repair
from valle_data.shards.tar import BLOCK
from valle_data.stores.remote_path import locate

NUM_UTTERANCES = 8


@pytest.fixture(params=sorted(SHARDS))
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three parts of eight utterances with vectors and refusals, as planned, in either format."""
    folder = empty_dataset(tmp_path / "set")
    (folder / "plan").mkdir()
    parts = []
    for part in range(3):
        names = [f"p{part}-u{index}" for index in range(NUM_UTTERANCES)]
        kept = [
            replace(coded(name, num_frames=40 + 3 * index, seed=part * 100 + index), vectors={"speaker": np.full(3, index, np.float32)})
            for index, name in enumerate(names)
        ]
        refused = Rejection(f"p{part}-bad", "bad.wav", "decode", ReasonCode.NOT_AUDIO, "bad.wav is empty", "f")
        planned = [PlannedUtterance(item.utterance, item.source_digest, 16000, item.duration_s, item.utterance.id) for item in kept]
        bad = replace(planned[0], utterance=replace(planned[0].utterance, id=f"p{part}-bad"))
        parts.append(PlannedPart(part, (*planned, bad)))
        made = replace(identity(part, parts[-1].part_id(manifest().config_hash)), input_hash=parts[-1].input_hash)
        commit_part(folder, made, kept, [refused], SHARDS[request.param]())
    save_plan(folder, parts)
    return folder


def shard_of(dataset: Path, part: int) -> Path:
    return dataset / "shards" / next(path.name for path in (dataset / "shards").glob(f"{part_name(part)}.*") if path.suffix in (".tar", ".h5"))


def repair(dataset: Path, **options: bool) -> tuple[ExitCode, str]:
    said = io.StringIO()
    return command.run(dataset, console=Console(stdout=said, as_json=True), **options), said.getvalue()


def kinds(dataset: Path) -> list[str]:
    return [str(action.kind) for action in Repair(dataset).actions()]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "valle.lock"}


def without_lost(files_: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files_.items() if not name.startswith("lost+found")}


def flip(path: Path, at: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    path.write_bytes(data)


def test_a_whole_data_set_is_left_alone(dataset: Path) -> None:
    before = tree(dataset)
    for options in ({}, {"rebuild": True}, {"dry_run": True}):
        code, said = repair(dataset, **options)
        assert code is ExitCode.DONE and "is whole" in said
    assert tree(dataset) == before


# --- what comes back to the byte


def damage_index(dataset: Path) -> None:
    flip(index_path(dataset, 1), 300)


def lose_index(dataset: Path) -> None:
    index_path(dataset, 1).unlink()


def cut_index(dataset: Path) -> None:
    index_path(dataset, 1).write_bytes(index_path(dataset, 1).read_bytes()[:500])


def lose_record(dataset: Path) -> None:
    record_path(dataset, 1).unlink()


def damage_record(dataset: Path) -> None:
    flip(record_path(dataset, 1), 30)


def swap_shards(dataset: Path) -> None:
    a, b = shard_of(dataset, 0), shard_of(dataset, 1)
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)


def turn_indices(dataset: Path) -> None:
    contents = [index_path(dataset, part).read_bytes() for part in range(3)]
    for part in range(3):
        index_path(dataset, part).write_bytes(contents[(part + 1) % 3])


def rename_shard(dataset: Path) -> None:
    shard_of(dataset, 1).rename(dataset / "shards" / "copy of part 1")


def leave_temporaries(dataset: Path) -> None:
    for folder in ("shards", "quarantine", "vectors", "plan"):
        (dataset / folder / f"{files.TEMPORARY}part-000001.tar-1-ab").write_bytes(b"half")


def leave_strangers(dataset: Path) -> None:
    shutil.copy(shard_of(dataset, 0), dataset / "shards" / "part-000009.tar")
    (dataset / "quarantine" / "notes.txt").write_text("mine")


@pytest.mark.parametrize(
    "damage",
    [damage_index, lose_index, cut_index, lose_record, damage_record, swap_shards, turn_indices, rename_shard, leave_temporaries, leave_strangers],
    ids=lambda damage: damage.__name__,
)
def test_what_can_be_proved_comes_back_to_the_byte(damage, dataset: Path) -> None:
    before = tree(dataset)
    damage(dataset)
    broken = tree(dataset)
    code, said = repair(dataset, dry_run=True)
    assert code is ExitCode.RUN_FAILED and "Nothing was changed" in said and tree(dataset) == broken
    code, said = repair(dataset)
    assert code is ExitCode.DONE, said
    after = tree(dataset)
    assert without_lost(after) == before and check_dataset(dataset) == []
    assert set(broken.values()) <= set(after.values()), "bytes of the user are gone"


def test_a_record_is_not_made_again_where_the_plan_knows_of_more(dataset: Path) -> None:
    """A part whose quarantine is lost as well would hide what was refused."""
    record_path(dataset, 1).unlink()
    quarantine_path(dataset, 1).unlink()
    assert set(kinds(dataset)) == {Kind.MOVE_AWAY}
    assert repair(dataset)[0] is ExitCode.DONE
    assert [record.part for record in committed_parts(dataset)] == [0, 2] and check_dataset(dataset) == []
    assert (dataset / "lost+found/shards" / index_path(dataset, 1).name).is_file()


# --- what is salvaged


def test_one_damaged_utterance_costs_one_utterance(dataset: Path) -> None:
    record = committed_parts(dataset)[1]
    row = read_part_index(dataset, record).to_pylist()[3]
    flip(shard_of(dataset, 1), row["offset"] + row["nbytes"] - 3)
    before = tree(dataset)
    code, said = repair(dataset)
    assert code is ExitCode.RUN_FAILED and "--rebuild" in said and tree(dataset) == before, "nothing is given up without consent"
    assert repair(dataset, rebuild=True)[0] is ExitCode.DONE
    found = committed_parts(dataset)[1]
    assert check_dataset(dataset) == [] and found.num_utterances == NUM_UTTERANCES - 1
    assert "p1-u3" not in read_part_index(dataset, found)["utt_id"].to_pylist()
    lost = read_quarantine(dataset, found).to_pylist()
    assert [(item["utt_id"], item["reason"], item["fingerprint"]) for item in lost] == [("p1-bad", "not_audio", "f"), ("p1-u3", "corrupt_shard", "")]
    assert read_vectors(dataset, found, "speaker")["utt_id"].to_pylist() == [f"p1-u{index}" for index in range(NUM_UTTERANCES) if index != 3]
    opened = Dataset.open(dataset)
    assert len(opened) == 3 * NUM_UTTERANCES - 1 and all(opened.codes(row).shape[0] == 8 for row in range(len(opened)))
    assert all(tree(dataset)[name] == data for name, data in before.items() if part_name(1) not in name), "whole parts stay as they are"
    assert set(before.values()) <= set(tree(dataset).values()), "a copy of every damaged file is kept"


@pytest.mark.parametrize("at", [0, 100, 257, BLOCK + 20, 3 * BLOCK, -2000])
def test_damage_to_structure_costs_no_utterance(at: int, dataset: Path) -> None:
    """Headers of the archive, of arrays and of the file itself are not needed."""
    shard = shard_of(dataset, 1)
    inside = [(row["offset"], row["offset"] + row["nbytes"]) for row in read_part_index(dataset, committed_parts(dataset)[1]).to_pylist()]
    at %= shard.stat().st_size
    header_bytes = SHARDS["tar" if shard.suffix == ".tar" else "hdf5"].header_bytes
    damaged = sum(start + header_bytes <= at < stop for start, stop in inside)
    flip(shard, at)
    assert repair(dataset, rebuild=True)[0] is ExitCode.DONE
    assert committed_parts(dataset)[1].num_utterances == NUM_UTTERANCES - damaged and check_dataset(dataset) == []


def test_shard_and_index_both_damaged(dataset: Path) -> None:
    row = read_part_index(dataset, committed_parts(dataset)[1]).to_pylist()[5]
    flip(shard_of(dataset, 1), row["offset"] + row["nbytes"] - 3)
    flip(index_path(dataset, 1), 300)
    assert repair(dataset, rebuild=True)[0] is ExitCode.DONE
    found = committed_parts(dataset)[1]
    assert found.num_utterances == NUM_UTTERANCES - 1 and check_dataset(dataset) == []
    assert read_quarantine(dataset, found)["utt_id"].to_pylist() == ["p1-bad", "p1-u5"]


def test_a_cut_shard_keeps_what_is_before_the_cut(dataset: Path) -> None:
    row = read_part_index(dataset, committed_parts(dataset)[1]).to_pylist()[4]
    shard = shard_of(dataset, 1)
    shard.write_bytes(shard.read_bytes()[: row["offset"] + 10])
    assert repair(dataset, rebuild=True)[0] is ExitCode.DONE
    assert committed_parts(dataset)[1].num_utterances == 4 and check_dataset(dataset) == []


def test_random_flips_lose_no_undamaged_utterance_and_change_no_code(dataset: Path) -> None:
    """D3 in small; the full count is `benchmarks/corruption.py`."""
    shard, generator = shard_of(dataset, 1), random.Random(0)
    original = shard.read_bytes()
    codes = {
        dataset_row["utt_id"]: original[dataset_row["offset"] : dataset_row["offset"] + dataset_row["nbytes"]]
        for dataset_row in read_part_index(dataset, committed_parts(dataset)[1]).to_pylist()
    }
    rows = {row["utt_id"]: (row["offset"], row["nbytes"]) for row in read_part_index(dataset, committed_parts(dataset)[1]).to_pylist()}
    format_ = SHARDS["tar" if shard.suffix == ".tar" else "hdf5"]()
    for _ in range(150):
        at = generator.randrange(len(original))
        data = bytearray(original)
        data[at] ^= 1 << generator.randrange(8)
        hit = next((name for name, (start, nbytes) in rows.items() if start <= at < start + nbytes), None)
        found = {sample.id: sample for sample in format_.salvage(bytes(data))}
        assert len(found) >= NUM_UTTERANCES - 1 and (hit is None or hit not in found or at < rows[hit][0] + format_.header_bytes)
        for name, sample in found.items():
            assert codes[name].endswith(sample.codes.tobytes())


# --- what is withdrawn


def other_configuration(dataset: Path) -> None:
    record = committed_parts(dataset)[1]
    add_other = empty_dataset(dataset.parent / "other")
    commit_part(add_other, replace(identity(1, "old"), config_hash="d" * 64), [coded("x")], [], SHARDS["tar"]())
    shard_of(dataset, 1).unlink()
    for path in (shard_path(add_other, 1), index_path(add_other, 1), record_path(add_other, 1)):
        shutil.copy(path, dataset / "shards")
    assert record.config_hash != "d" * 64


def lose_shard(dataset: Path) -> None:
    shard_of(dataset, 1).unlink()


def lose_quarantine(dataset: Path) -> None:
    quarantine_path(dataset, 1).unlink()


def lose_vectors(dataset: Path) -> None:
    flip(side_path(dataset, 1, "speaker"), 100)


def empty_shard(dataset: Path) -> None:
    shard_of(dataset, 1).write_bytes(b"")


@pytest.mark.parametrize("damage", [other_configuration, lose_shard, lose_quarantine, lose_vectors, empty_shard], ids=lambda damage: damage.__name__)
def test_a_part_that_cannot_be_saved_is_withdrawn_for_prepare(damage, dataset: Path) -> None:
    damage(dataset)
    broken = tree(dataset)
    assert Kind.WITHDRAW in kinds(dataset)
    code, _ = repair(dataset)
    assert code is ExitCode.RUN_FAILED and record_path(dataset, 1).exists()
    code, said = repair(dataset, rebuild=True)
    assert code is ExitCode.DONE, said
    assert [record.part for record in committed_parts(dataset)] == [0, 2] and check_dataset(dataset) == []
    assert set(broken.values()) <= set(tree(dataset).values())


def test_the_later_of_two_parts_with_one_utterance_is_withdrawn(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    for part in (0, 1):
        commit_part(folder, identity(part, f"id{part}"), [coded("u")], [], SHARDS["tar"]())
    code, said = repair(folder, rebuild=True)
    assert code is ExitCode.DONE and "Utterance u is in part-000000 and in part-000001" in said
    assert [record.part for record in committed_parts(folder)] == [0]


# --- faults while repairing


def test_a_repair_that_fails_anywhere_is_finished_by_the_next(dataset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = read_part_index(dataset, committed_parts(dataset)[1]).to_pylist()[3]
    flip(shard_of(dataset, 1), row["offset"] + row["nbytes"] - 3)
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(dataset, undisturbed)
    repair(undisturbed, rebuild=True)
    for fail_at in range(1, 60, 3):
        folder, calls = tmp_path / str(fail_at), [0]
        shutil.copytree(dataset, folder)
        before = set(tree(folder).values())

        def write(path: Path, data: bytes, calls: list[int] = calls, fail_at: int = fail_at) -> None:
            calls[0] += 1
            if calls[0] == fail_at:
                raise InputError(ReasonCode.STORAGE_FAILED, "no space")
            files.store_of(path).write_atomically(path, data)

        with monkeypatch.context() as patch:
            patch.setattr(files, "write_atomically", write)
            try:
                repair(folder, rebuild=True)
            except InputError as error:
                assert error.reason is ReasonCode.STORAGE_FAILED
        assert repair(folder, rebuild=True)[0] is ExitCode.DONE
        assert check_dataset(folder) == [] and before <= set(tree(folder).values())
        assert committed_parts(folder)[1].num_utterances == NUM_UTTERANCES - 1
        shutil.rmtree(folder)
        if calls[0] < fail_at:
            break
    assert fail_at > 5


def test_only_looking_is_offered_for_an_object_store() -> None:
    with pytest.raises(UsageError, match="repair only looks: use --dry-run"):
        repair(locate("memory://bucket/set"))


def test_records_of_one_kind_are_shown_with_part_action_and_proposal(dataset: Path) -> None:
    index_path(dataset, 1).unlink()
    _, said = repair(dataset, dry_run=True)
    table = next(line for line in map(json.loads, said.splitlines()) if "rebuild index" in json.dumps(line))
    assert "part-000001" in json.dumps(table) and "its sha256 is the committed one" in json.dumps(table)


def test_an_empty_part_is_rebuilt_too(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    record: CommitRecord = add_part(folder, 0, num_utterances=0)
    index_path(folder, 0).unlink()
    assert repair(folder)[0] is ExitCode.DONE and committed_parts(folder) == [record]
