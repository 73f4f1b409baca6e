"""An opened data set: rows, views, splits, and damage that never goes unseen."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.shard_dummies import add_part, coded, empty_dataset, identity, manifest, write_index
from valle_data import attribution
from valle_data.dataset import Dataset
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodedUtterance
from valle_data.samplers.plan import Plan, SamplerConfig
from valle_data.shards.base import index_path, record_path, shard_path
from valle_data.shards.commit import commit_part, load_record
from valle_data.shards.index import decode_table, encode_table
from valle_data.shards.tar import TarShard
from valle_data.text.vocabulary import Vocabulary


def three_parts(path: Path) -> tuple[Path, list[CodedUtterance]]:
    """Parts of 3, 0 and 2 utterances of two speakers; the utterances in the order of the rows."""
    dataset = empty_dataset(path)
    utterances = [
        [coded(f"a{i}", num_frames=5 + i, speaker=f"s{i % 2}", seed=i) for i in range(3)],
        [],
        [coded(f"b{i}", num_frames=30 + i, seed=9 + i) for i in range(2)],
    ]
    for part, members in enumerate(utterances):
        commit_part(dataset, identity(part, f"id{part}"), members, [], TarShard())
    return dataset, [utterance for members in utterances for utterance in members]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_rows_are_what_was_written(tmp_path: Path) -> None:
    folder, written = three_parts(tmp_path / "d")
    dataset = Dataset.open(folder)
    assert len(dataset) == 5
    for row, utterance in enumerate(written):
        assert np.array_equal(dataset.codes(row), utterance.codes)
        assert [dataset.vocabulary.symbols[i] for i in dataset.phones(row)] == list(utterance.phones)
        assert (dataset.speaker(row), dataset.group(row), dataset.language(row)) == (utterance.utterance.speaker, "g", "en-us")
        assert dataset.utterance_id(row) == utterance.utterance.id
    assert dataset.columns.num_frames.tolist() == [5, 6, 7, 30, 31]
    assert dataset.speakers == ("s0", "s1", "s")


def test_one_name_in_two_groups_is_two_people(tmp_path: Path) -> None:
    """Numbered alike across parts, so that neither prompts nor the weights of speakers mix them."""
    folder = empty_dataset(tmp_path / "d")
    people = [("x", "01"), ("y", "02"), ("y", "01"), ("x", "01"), ("x", "02"), ("y", "01"), ("x", "02")]
    for part, rows in enumerate((people[:4], people[4:])):
        members = [coded(f"u{part}{i}", num_frames=20, speaker=name, seed=i) for i, (_, name) in enumerate(rows)]
        members = [replace(member, utterance=replace(member.utterance, group=group)) for member, (group, _) in zip(members, rows, strict=True)]
        commit_part(folder, identity(part, f"id{part}"), members, [], TarShard())
    dataset = Dataset.open(folder)
    assert dataset.columns.speaker.tolist() == [0, 1, 2, 0, 3, 2, 3]
    assert [(dataset.group(row), dataset.speaker(row)) for row in range(7)] == people
    assert dataset.speakers == ("01", "02", "01", "02")
    plan = Plan(dataset.columns, SamplerConfig(block_draws=100, no_prompt_probability=0, prompt_min_duration_s=0.1))
    documents = plan.block(0).documents
    prompted = documents.prompt_rows >= 0
    assert set(documents.rows[~prompted].tolist()) == {1}  # the only one of y/02
    assert all(people[row] == people[prompt] for row, prompt in zip(documents.rows[prompted], documents.prompt_rows[prompted], strict=True))


def test_codes_are_views_that_cannot_be_written(tmp_path: Path) -> None:
    folder, written = three_parts(tmp_path / "d")
    dataset = Dataset.open(folder)
    part = dataset.codes(3, 4, 20, levels=2)
    assert np.array_equal(part, written[3].codes[:2, 4:20])
    assert np.shares_memory(part, dataset.codes(3)) and not part.flags.writeable
    assert dataset.codes(3, 7, 7).shape == (8, 0)


def test_a_data_set_without_parts_is_empty(tmp_path: Path) -> None:
    dataset = Dataset.open(empty_dataset(tmp_path / "d"))
    assert len(dataset) == 0 and dataset.speakers == ()


def test_what_has_no_commit_record_does_not_exist(tmp_path: Path) -> None:
    folder, _ = three_parts(tmp_path / "d")
    record_path(folder, 0).unlink()
    assert len(Dataset.open(folder)) == 2


def test_the_index_takes_at_most_32_bytes_a_row_besides_phones(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "d")
    commit_part(folder, identity(), [coded(f"u{i:04d}", num_frames=300, speaker=f"s{i % 300}") for i in range(700)], [], TarShard())
    dataset = Dataset.open(folder)
    assert dataset.nbytes - 700 * len("wˈʌn") <= 32 * 700


# --- splits


def write_splits(folder: Path, splits: dict[str, str]) -> None:
    (folder / "metadata").mkdir()
    write_index(folder / "metadata/splits.parquet", pa.table({"utt_id": list(splits), "split": list(splits.values())}))


def test_a_split_holds_its_rows_and_those_in_none_are_counted(tmp_path: Path) -> None:
    folder, written = three_parts(tmp_path / "d")
    write_splits(folder, {"a0": "train", "b1": "train", "a1": "validation", "b0": "validation"})
    train, validation, everything = Dataset.open(folder, "train"), Dataset.open(folder, "validation"), Dataset.open(folder)
    assert [train.utterance_id(row) for row in range(len(train))] == ["a0", "b1"]
    assert [validation.utterance_id(row) for row in range(len(validation))] == ["a1", "b0"]
    assert np.array_equal(train.codes(1), written[4].codes)
    assert (train.num_unassigned, everything.num_unassigned, len(everything)) == (1, 0, 5)
    assert len({d.columns.fingerprint for d in (train, validation, everything)}) == 3
    with pytest.raises(InputError, match="has no split 'test', only train, validation"):
        Dataset.open(folder, "test")


def test_without_splits_everything_is_train(tmp_path: Path) -> None:
    folder, _ = three_parts(tmp_path / "d")
    assert len(Dataset.open(folder, "train")) == 5
    with pytest.raises(InputError, match="no split 'validation' yet"):
        Dataset.open(folder, "validation")


# --- damage


def test_one_flipped_bit_names_shard_utterance_and_checksums_and_spares_the_rest(tmp_path: Path) -> None:
    folder, written = three_parts(tmp_path / "d")
    row = decode_table(index_path(folder, 0).read_bytes(), path=index_path(folder, 0)).to_pylist()[1]
    flip(shard_path(folder, 0), row["offset"] + 140)
    dataset = Dataset.open(folder)
    found = zlib.crc32(shard_path(folder, 0).read_bytes()[row["offset"] : row["offset"] + row["nbytes"]])
    for _ in range(2):
        with pytest.raises(InputError) as refused:
            dataset.codes(1)
        assert refused.value.reason is ReasonCode.CORRUPT_SHARD
        for part in ("part-000000.tar", " a1 ", f"{row['crc32']:08x}", f"{found:08x}"):
            assert part in str(refused.value)
    for other in (0, 2, 3, 4):
        assert np.array_equal(dataset.codes(other), written[other].codes)


@pytest.mark.parametrize("offset", [0, 60, 127, 128])
def test_any_byte_of_a_member_counts(tmp_path: Path, offset: int) -> None:
    folder, _ = three_parts(tmp_path / "d")
    row = decode_table(index_path(folder, 0).read_bytes(), path=index_path(folder, 0)).to_pylist()[0]
    flip(shard_path(folder, 0), row["offset"] + offset)
    with pytest.raises(InputError, match="corrupt_shard"):
        Dataset.open(folder).codes(0)


def test_a_code_beyond_the_codebook_is_refused_not_clipped(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "d")
    utterance = coded("u")
    codes = utterance.codes.copy()
    codes[3, 2] = 1024
    commit_part(folder, identity(), [replace(utterance, codes=codes)], [], TarShard())
    with pytest.raises(InputError, match="u has the code 1024, but codebooks of 'mini' end at 1023") as refused:
        Dataset.open(folder).codes(0)
    assert refused.value.reason is ReasonCode.CODE_OUT_OF_RANGE


def test_a_phone_outside_the_vocabulary_is_refused_at_open(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "d")
    commit_part(folder, identity(), [coded("a"), replace(coded("b"), phones=("w", "x"))], [], TarShard())
    with pytest.raises(InputError, match="b has the phone 'x', which is not among the 4") as refused:
        Dataset.open(folder)
    assert refused.value.reason is ReasonCode.UNKNOWN_PHONE


def test_a_missing_or_cut_shard_is_found_at_open(tmp_path: Path) -> None:
    folder, _ = three_parts(tmp_path / "d")
    shard = shard_path(folder, 2)
    data = shard.read_bytes()
    shard.write_bytes(data[:-512])
    with pytest.raises(InputError, match=rf"part-000002.tar has {len(data) - 512} bytes, its commit record says {len(data)}"):
        Dataset.open(folder)
    shard.unlink()
    with pytest.raises(InputError, match="missing_shard"):
        Dataset.open(folder)


def test_a_shard_cut_after_opening_is_found_when_it_is_mapped(tmp_path: Path) -> None:
    folder, _ = three_parts(tmp_path / "d")
    dataset = Dataset.open(folder)
    shard_path(folder, 0).write_bytes(shard_path(folder, 0).read_bytes()[:1000])
    with pytest.raises(InputError, match="has 1000 bytes"):
        dataset.codes(0)


def test_a_changed_index_and_a_part_of_another_configuration_are_refused(tmp_path: Path) -> None:
    folder, _ = three_parts(tmp_path / "d")
    index = index_path(folder, 0)
    table = decode_table(index.read_bytes(), path=index)
    index.write_bytes(encode_table(table.slice(1)))
    with pytest.raises(InputError, match="corrupt_shard"):
        Dataset.open(folder)
    other = empty_dataset(tmp_path / "e")
    commit_part(other, replace(identity(), config_hash="d" * 64), [coded("u")], [], TarShard())
    with pytest.raises(InputError, match="foreign_shard"):
        Dataset.open(other)


def test_a_codec_of_fewer_levels_than_the_rows_is_refused(tmp_path: Path) -> None:
    folder, _ = three_parts(tmp_path / "d")
    replace(manifest(), codec=replace(manifest().codec, num_levels=4)).save(folder)
    with pytest.raises(InputError, match=r"bad_row.*4 levels"):
        Dataset.open(folder)


def test_the_fingerprint_changes_with_data_vocabulary_and_codec(tmp_path: Path) -> None:
    folder, _ = three_parts(tmp_path / "d")
    first = Dataset.open(folder).columns.fingerprint
    assert Dataset.open(folder).columns.fingerprint == first
    replace(manifest(), vocabulary=Vocabulary((*"wˈʌn", "z"))).save(folder)
    second = Dataset.open(folder).columns.fingerprint
    manifest().save(folder)
    assert load_record(record_path(folder, 0)).part == 0
    add_part(folder, 3)
    assert len({first, second, Dataset.open(folder).columns.fingerprint}) == 3


def test_speakers_that_were_told_apart_later_are_those_of_training(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    add_part(folder, 0)
    add_part(folder, 1)
    ids = ["p0-u0", "p1-u1"]
    table = pa.table([ids, ["ann", "bob"], [0.9, 0.8], [0.1, 0.1]], schema=attribution.SCHEMA)
    (folder / "metadata").mkdir()
    (folder / "metadata" / attribution.NAME).write_bytes(encode_table(table))
    opened = Dataset.open(folder)
    found = {opened.utterance_id(row): opened.speaker(row) for row in range(len(opened))}
    assert found == {"p0-u0": "ann", "p1-u1": "bob", **{name: "s" for name in ("p0-u1", "p0-u2", "p1-u0", "p1-u2")}}
