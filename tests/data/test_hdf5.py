"""What every shard format owes, and what HDF5 could carry beside arrays and never may."""

import hashlib
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.shard_dummies import add_part, coded, empty_dataset, identity, samples
from valle_data.dataset import Dataset
from valle_data.errors import InputError, ReasonCode
from valle_data.shards import EXTENSIONS, SHARDS
from valle_data.shards.base import Sample, ShardFormat
from valle_data.shards.check import check_dataset
from valle_data.shards.commit import commit_part
from valle_data.shards.describe import restore
from valle_data.shards.hdf5 import Hdf5Shard


def some(count: int) -> list[Sample]:
    return samples([coded(f"u{index:03}", num_frames=3 + 7 * index % 50, seed=index) for index in range(count)])


def same(found: list[Sample], expected: list[Sample]) -> bool:
    return [(s.id, s.text, s.codes.tolist()) for s in found] == [(s.id, s.text, s.codes.tolist()) for s in expected]


@pytest.fixture(params=sorted(SHARDS))
def shards(request: pytest.FixtureRequest) -> ShardFormat:
    return SHARDS[request.param]()


def test_every_format_is_known_by_its_extension(shards: ShardFormat) -> None:
    assert SHARDS[EXTENSIONS[shards.extension]] is type(shards)


@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_samples_come_back_and_members_are_where_the_index_says(shards: ShardFormat, count: int) -> None:
    written = some(count)
    encoded = shards.encode(written)
    assert encoded.data == shards.encode(written).data
    assert same(shards.read(encoded.data, Path("x")), written) and same(shards.salvage(encoded.data), written)
    for sample, member in zip(written, encoded.members, strict=True):
        data = encoded.data[member.offset : member.offset + member.nbytes]
        assert zlib.crc32(data) == member.crc32 and member.offset % shards.alignment == 0
        assert np.array_equal(shards.codes(data, 8), sample.codes)
        assert np.array_equal(np.frombuffer(data[shards.header_bytes :], "<u2").reshape(8, -1), sample.codes)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 5), (32, 7)])
def test_any_number_of_levels(shards: ShardFormat, shape: tuple[int, int]) -> None:
    codes = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    written = [Sample("a", codes, some(1)[0].text), Sample("b", codes + 1, some(1)[0].text)]
    encoded = shards.encode(written)
    assert same(shards.read(encoded.data, Path("x")), written)
    assert np.array_equal(shards.codes(encoded.data[encoded.members[1].offset :][: encoded.members[1].nbytes], shape[0]), codes + 1)


def test_what_a_shard_holds_makes_the_utterance_again(shards: ShardFormat) -> None:
    utterance = coded("a")
    found = restore(shards.read(shards.encode(samples([utterance])).data, Path("x"))[0], "x")
    assert found.utterance == utterance.utterance and np.array_equal(found.codes, utterance.codes)
    assert (found.phones, found.scores, found.duration_s) == (utterance.phones, utterance.scores, utterance.duration_s)


def test_a_data_set_opens_alike_in_every_format(shards: ShardFormat, tmp_path: Path) -> None:
    tar, folder = empty_dataset(tmp_path / "tar"), empty_dataset(tmp_path / "set")
    for part in range(3):
        add_part(tar, part, num_utterances=part)
        add_part(folder, part, num_utterances=part, shards=shards)
    first, second = Dataset.open(tar), Dataset.open(folder)
    assert check_dataset(folder) == []
    assert len(first) == len(second) == 3
    for row in range(3):
        assert np.array_equal(first.codes(row), second.codes(row)) and first.utterance_id(row) == second.utterance_id(row)
        assert not second.codes(row).flags.writeable


def test_a_flipped_bit_in_codes_is_named_and_the_rest_stays_usable(shards: ShardFormat, tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    utterances = [coded(f"u{index}", num_frames=20, seed=index) for index in range(3)]
    commit_part(folder, identity(), utterances, [], shards)
    member = shards.encode(samples(utterances)).members[1]
    path = folder / "shards" / f"part-000000.{shards.extension}"
    data = bytearray(path.read_bytes())
    data[member.offset + member.nbytes - 5] ^= 64
    path.write_bytes(data)
    dataset = Dataset.open(folder)
    with pytest.raises(InputError, match=rf"corrupt_shard.*u1 should have crc32 {member.crc32:08x}"):
        dataset.codes(1)
    assert np.array_equal(dataset.codes(0), utterances[0].codes) and np.array_equal(dataset.codes(2), utterances[2].codes)
    assert {problem.utterance for problem in check_dataset(folder)} == {None, "u1"}


def test_one_process_maps_a_bounded_number_of_shards(shards: ShardFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = empty_dataset(tmp_path / "set")
    for part in range(6):
        add_part(folder, part, num_utterances=1, shards=shards)
    dataset = Dataset.open(folder)
    reader = dataset._shards
    monkeypatch.setattr(reader, "_most_maps", 2)
    views = [dataset.codes(row) for row in range(6)]
    assert len(reader._maps) == 2  # pyright: ignore[reportAttributeAccessIssue]
    assert all(np.array_equal(view, coded("x", num_frames=5, seed=part).codes) for part, view in enumerate(views)), "views outlive their map's place"


# --- HDF5


def test_stock_h5py_reads_it_as_documented(tmp_path: Path) -> None:
    written = some(5)
    (tmp_path / "a.h5").write_bytes(Hdf5Shard().encode(written).data)
    with h5py.File(tmp_path / "a.h5") as file:
        num_levels, offsets, letters = file["codes"].attrs["num_levels"], file["offsets"][()], file["text_offsets"][()]
        for index, sample in enumerate(written):
            codes = file["codes"][num_levels * offsets[index] : num_levels * offsets[index + 1]].reshape(num_levels, -1)
            assert np.array_equal(codes, sample.codes)
            assert file["ids"][index].decode() == sample.id
            assert file["texts"][letters[index] : letters[index + 1]].tobytes() == sample.text
        assert all(file[name].fletcher32 for name in file)


def test_another_process_writes_the_same_bytes() -> None:
    program = "import hashlib; from tests.data.test_hdf5 import *; print(hashlib.sha256(Hdf5Shard().encode(some(9)).data).hexdigest())"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert said.stdout.strip() == hashlib.sha256(Hdf5Shard().encode(some(9)).data).hexdigest()


def test_the_library_itself_finds_flipped_codes() -> None:
    encoded = Hdf5Shard().encode(some(3))
    data = bytearray(encoded.data)
    data[encoded.members[0].offset] ^= 1
    with pytest.raises(InputError, match="is damaged or not HDF5"):
        Hdf5Shard().read(bytes(data), Path("part-000000.h5"))


def external_link(file: h5py.File) -> None:
    del file["texts"]
    file["texts"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file: h5py.File) -> None:
    del file["texts"]
    file["texts"] = h5py.SoftLink("/codes")


def foreign_name(file: h5py.File) -> None:
    file["more"] = np.zeros(3)


def group(file: h5py.File) -> None:
    del file["ids"]
    file.create_group("ids")


def references(file: h5py.File) -> None:
    del file["ids"]
    file.create_dataset("ids", data=[file["codes"].ref], dtype=h5py.ref_dtype)


def strings_of_any_length(file: h5py.File) -> None:
    del file["ids"]
    file.create_dataset("ids", data=["a"], dtype=h5py.string_dtype())


def kept_elsewhere(file: h5py.File) -> None:
    del file["texts"]
    file.create_dataset("texts", shape=(64,), dtype="u1", external=[("/etc/passwd", 0, 64)])


def virtual(file: h5py.File) -> None:
    del file["texts"]
    layout = h5py.VirtualLayout(shape=(64,), dtype="u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(64,))
    file.create_virtual_dataset("texts", layout)


def other_filter(file: h5py.File) -> None:
    del file["texts"]
    file.create_dataset("texts", data=np.zeros(64, "u1"), compression="gzip")


def two_dimensions(file: h5py.File) -> None:
    del file["codes"]
    file["codes"] = np.zeros((8, 3), "<u2")


@pytest.mark.parametrize(
    "change",
    [external_link, soft_link, foreign_name, group, references, strings_of_any_length, kept_elsewhere, virtual, other_filter, two_dimensions],
    ids=lambda change: change.__name__,
)
def test_what_leads_elsewhere_or_is_of_another_kind_is_refused(change: Callable[[h5py.File], None], tmp_path: Path) -> None:
    path = tmp_path / "part-000000.h5"
    path.write_bytes(Hdf5Shard().encode(some(2)).data)
    with h5py.File(path, "r+") as file:
        change(file)
    problems = Hdf5Shard().check(path, path.read_bytes(), 0, ["u000", "u001"])
    assert [problem.reason for problem in problems] == [ReasonCode.UNSAFE_MEMBER]
    assert "It was not" in problems[0].message and "root:" not in problems[0].message


def test_offsets_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "part-000000.h5"
    path.write_bytes(Hdf5Shard().encode(some(2)).data)
    with h5py.File(path, "r+") as file:
        file["offsets"][1] = 10**12
    with pytest.raises(InputError, match="'offsets' does not divide"):
        Hdf5Shard().read(path.read_bytes(), path)


@pytest.mark.parametrize("data", [b"", b"\x89HDF\r\n\x1a\n", b"x" * 5000])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="is damaged or not HDF5"):
        Hdf5Shard().read(data, Path("part-000000.h5"))
