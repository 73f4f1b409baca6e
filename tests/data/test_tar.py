"""The tar shard: plain for others, exact for us, and never extracted."""

import io
import subprocess
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.shard_dummies import coded, samples
from valle_data.errors import InputError, ReasonCode
from valle_data.shards.base import check_id
from valle_data.shards.tar import TarShard, decode_codes, encode_codes, read_member, walk


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "part-000000.tar"
    path.write_bytes(TarShard().encode(samples([coded(f"u{index}", num_frames=5 + index) for index in range(3)])).data)
    return path


@pytest.mark.parametrize("shape", [(8, 0), (1, 1), (8, 1000), (32, 7)])
def test_codes_round_trip_through_numpy_and_back(shape: tuple[int, int]) -> None:
    codes = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    data = encode_codes(codes)
    assert (np.load(io.BytesIO(data), allow_pickle=False) == codes).all()
    decoded = decode_codes(data)
    assert decoded.shape == shape and (decoded == codes).all() and not decoded.flags.writeable


@pytest.mark.parametrize("array", [np.zeros((2, 3), np.float32), np.zeros(4, np.uint16), np.array([{"a": 1}], dtype=object)], ids=["float", "flat", "pickle"])
def test_other_arrays_are_refused_unread(array: np.ndarray) -> None:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    with pytest.raises(InputError, match=r"uint16 \[Q, T\]"):
        decode_codes(file.getvalue())


def test_codes_of_another_length_than_their_header_says_are_refused() -> None:
    with pytest.raises(InputError, match="has 158 bytes"):
        decode_codes(encode_codes(np.zeros((2, 8), np.uint16))[:-2])


@pytest.mark.parametrize("count", [0, 1, 50])
def test_the_archive_is_what_tarfile_reads_and_members_are_where_we_say(count: int, tmp_path: Path) -> None:
    utterances = [coded(f"u{index:03}", num_frames=index) for index in range(count)]
    encoded = TarShard().encode(samples(utterances))
    path = tmp_path / "a.tar"
    path.write_bytes(encoded.data)
    with tarfile.open(path) as archive:
        infos = archive.getmembers()
        assert [info.name for info in infos] == [f"u{index:03}{suffix}" for index in range(count) for suffix in (".codes.npy", ".json")]
        assert all((info.mtime, info.uid, info.gid, info.mode) == (0, 0, 0, 0o644) for info in infos)
        assert [info.offset_data for info in infos[::2]] == [member.offset for member in encoded.members]
    for utterance, member in zip(utterances, encoded.members, strict=True):
        assert (decode_codes(read_member(path, member.offset, member.nbytes, member.crc32)) == utterance.codes).all()
    assert len(encoded.data) % 10240 == 0
    assert [m.name for m in walk(path.read_bytes(), path)] == [info.name for info in infos]


def test_the_same_utterances_give_the_same_bytes() -> None:
    utterances = samples([coded("a"), coded("b")])
    assert TarShard().encode(utterances).data == TarShard().encode(utterances).data
    assert TarShard().encode(utterances).data != TarShard().encode(utterances[::-1]).data


def test_tar_tf_lists_it(shard: Path) -> None:
    listed = subprocess.run(["tar", "tf", str(shard)], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == [f"u{index}{suffix}" for index in range(3) for suffix in (".codes.npy", ".json")]


def test_a_stock_webdataset_pipeline_reads_it(shard: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == ["u0", "u1", "u2"]
    assert [sample["codes.npy"].shape for sample in samples] == [(8, 5), (8, 6), (8, 7)]
    assert samples[1]["json"]["text"] == "one two ü"
    assert samples[1]["json"]["phones"] == list("wˈʌn")


@pytest.mark.parametrize("utterance", ["", "a.b", "a/b", "../a", "a b", "x" * 91, "ü", "-" * 5 + "\n"])
def test_ids_that_a_reader_could_misread_are_refused(utterance: str) -> None:
    with pytest.raises(InputError, match="1 to 90 of the characters"):
        check_id(utterance)


def test_a_flipped_bit_is_reported_with_both_checksums(shard: Path) -> None:
    data = bytearray(shard.read_bytes())
    crc32 = zlib.crc32(data[512:600])
    data[550] ^= 4
    shard.write_bytes(data)
    with pytest.raises(InputError, match=f"should have crc32 {crc32:08x}") as caught:
        read_member(shard, 512, 88, crc32)
    assert caught.value.reason is ReasonCode.CORRUPT_SHARD


def test_a_cut_or_missing_shard_is_reported(shard: Path) -> None:
    with pytest.raises(InputError, match="0 were read"):
        read_member(shard, 10**6, 10, 0)
    shard.unlink()
    with pytest.raises(InputError, match="is gone") as caught:
        read_member(shard, 0, 10, 0)
    assert caught.value.reason is ReasonCode.MISSING_SHARD


def evil_archive(path: Path, **fields: object) -> Path:
    info = tarfile.TarInfo("u0.json")
    for name, value in fields.items():
        setattr(info, name, value)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"x" * info.size))
    return path


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../../x.json"},
        {"name": "/etc/x.json"},
        {"name": "a/b.json"},
        {"name": "u0.pkl", "size": 3},
        {"name": "u0.pth"},
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "u1.json"},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.BLKTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.DIRTYPE},
    ],
    ids=lambda fields: "-".join(str(value) for value in fields.values()),
)
def test_unsafe_members_are_refused_and_nothing_is_written(fields: dict[str, object], tmp_path: Path) -> None:
    path = evil_archive(tmp_path / "part-000000.tar", **fields)
    problems = TarShard().check(path, path.read_bytes(), 0, ["u0"])
    assert [problem.reason for problem in problems] == [ReasonCode.UNSAFE_MEMBER]
    assert "Nothing was extracted" in problems[0].message
    assert [item.name for item in tmp_path.iterdir()] == ["part-000000.tar"]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: data[:512] + bytes([data[512] ^ 1]) + data[513:], "uint16 [Q, T]"),
        (lambda data: data[:580], "is cut"),
        (lambda data: data[:-512], None),
        (lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:], "no valid header"),
        (lambda data: data + b"more", "something behind it"),
        (lambda data: b"", "no valid header"),
    ],
)
def test_the_walk_is_strict_about_structure(shard: Path, damage, sentence: str | None) -> None:
    shard.write_bytes(damage(shard.read_bytes()))
    problems = TarShard().check(shard, shard.read_bytes(), 0, ["u0", "u1", "u2"])
    assert bool(problems) == bool(sentence)
    if sentence:
        assert sentence in problems[0].message


def test_members_that_the_index_does_not_know_are_reported(shard: Path) -> None:
    problems = TarShard().check(shard, shard.read_bytes(), 7, ["u0", "u1"])
    assert problems[0].part == 7 and "3 utterances, its index 2" in problems[0].message
