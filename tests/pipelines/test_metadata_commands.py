"""The sub-commands of `valle metadata`: what they find, against plain loops, and what they say when they cannot."""

import io
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines import convert, metadata
from pipelines.cli import main
from pipelines.console import Console
from pipelines.metadata_commands import duplicates, sample, similar, speakers, stats, vocab
from pipelines.metadata_commands.sample import draw, expected_shares
from pipelines.metadata_tables.write import SIMILAR
from tests.conftest import ROOT
from tests.shard_dummies import coded, empty_dataset, identity, manifest
from valle_data.dataset import Dataset
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError
from valle_data.records import CodedUtterance, Rejection
from valle_data.samplers.levels import level_shares
from valle_data.samplers.plan import Plan, SamplerConfig
from valle_data.shards.commit import commit_part
from valle_data.shards.tar import TarShard

NUM_SPEAKERS, EACH = 5, 9


def utterance(index: int) -> CodedUtterance:
    """Number `index` of NUM_SPEAKERS x EACH, with a vector for most, spread over lengths, levels and languages."""
    random = np.random.default_rng(index)
    base = coded(f"u{index:03d}", num_frames=20 + 7 * index % 150, speaker=f"s{index % NUM_SPEAKERS}", seed=index)
    vector = random.normal(0, 0.5, 16) + np.random.default_rng(1000 + index % NUM_SPEAKERS).normal(0, 1, 16)
    vectors = {} if index % 11 == 7 else {"speaker": (vector / np.linalg.norm(vector)).astype(np.float32)}
    language = "de" if index % 3 == 0 else "en-us"
    return replace(
        base,
        utterance=replace(base.utterance, language=language, group=f"g{index % 2}"),
        scores={"rms_dbfs": -20.0 - index, "peak_dbfs": None if index % 4 == 0 else -3.0},
        vectors=vectors,
        phones=tuple("wʌn" if index % 5 else "wˈʌ"),
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = empty_dataset(tmp_path / "set")
    utterances = [utterance(index) for index in range(NUM_SPEAKERS * EACH)]
    rejected = [Rejection("x", "a.wav", "decode", ReasonCode.SILENT_AUDIO, "all zeros")]
    for part in range(3):
        commit_part(folder, identity(part, f"id{part}"), utterances[part::3], rejected * (part + 1), TarShard())
    return folder


def tables(run, *arguments, **options) -> tuple[ExitCode, dict[str, list[dict]], list[dict]]:
    """Exit code, tables by title, all events."""
    stdout = io.StringIO()
    code = run(*arguments, console=Console(as_json=True, stdout=stdout), **options)
    events = [json.loads(line) for line in stdout.getvalue().splitlines()]
    return code, {event["title"]: event["rows"] for event in events if event["event"] == "table"}, events


def described(index: int) -> dict:
    made = utterance(index)
    return {
        "utt_id": made.utterance.id,
        "speaker": made.utterance.speaker,
        "group": made.utterance.group,
        "language": made.utterance.language,
        "duration_s": np.float32(made.duration_s),
        "rms_dbfs": made.scores["rms_dbfs"],
        "peak_dbfs": made.scores["peak_dbfs"],
    }


ALL = [described(index) for index in range(NUM_SPEAKERS * EACH)]


def test_stats_are_those_of_a_plain_loop(dataset: Path) -> None:
    code, found, _ = tables(stats.run, dataset)
    assert code is ExitCode.DONE
    totals = {row["what"]: row["count"] for row in found[str(dataset)]}
    assert (totals["utterances"], totals["quarantined"], totals["languages"]) == (len(ALL), 6, 2)
    assert totals["hours"] == pytest.approx(sum(row["duration_s"] for row in ALL) / 3600, abs=1e-4)
    by_language = {row["language"]: row for row in found["By language (2)"]}
    assert {name: row["num_utterances"] for name, row in by_language.items()} == Counter(row["language"] for row in ALL)
    by_speaker = {(row["group"], row["speaker"]): row["num_utterances"] for row in found["By speaker (10)"]}
    assert by_speaker == Counter((row["group"], row["speaker"]) for row in ALL)
    scores = {row["name"]: row for row in found["Quantiles"]}
    peaks = [row["peak_dbfs"] for row in ALL if row["peak_dbfs"] is not None]
    assert (scores["peak_dbfs"]["num_values"], scores["peak_dbfs"]["num_missing"]) == (len(peaks), len(ALL) - len(peaks))
    assert scores["rms_dbfs"]["p25"] == pytest.approx(np.quantile([row["rms_dbfs"] for row in ALL], 0.25))
    assert found["Quarantine by reason"] == [{"reason": "silent_audio", "count": 6, "share": f"{6 / (6 + len(ALL)):.2%}"}]
    assert found["By split"] == [{"split": "in no split", "utterances": 45, "speakers": 10, "hours": totals["hours"]}]


def test_stats_of_a_filter_and_by_any_column(dataset: Path) -> None:
    _, found, _ = tables(stats.run, dataset, where="rms_dbfs < -30 and peak_dbfs is not null", by=["num_frames", "speaker"])
    chosen = [row for row in ALL if row["rms_dbfs"] < -30 and row["peak_dbfs"] is not None]
    assert sum(row["num_utterances"] for row in found["By speaker (10)"]) == len(chosen)
    assert any(title.startswith("By num_frames (") for title in found)
    with pytest.raises(UsageError, match=r"The index has no column 'speeker'. Did you mean 'speaker'\?"):
        tables(stats.run, dataset, by=["speeker"])
    with pytest.raises(UsageError, match="--by counts by texts and whole numbers, column rms_dbfs holds float"):
        tables(stats.run, dataset, by=["rms_dbfs"])
    with pytest.raises(UsageError, match="there is no column 'rms'"):
        tables(stats.run, dataset, where="rms > 3")


def test_stats_know_the_splits_and_filters_may_ask_for_them(dataset: Path) -> None:
    assert main(["metadata", str(dataset), "--no-report", "--validation-fraction", "0.3", "--json"]) == 0
    _, found, _ = tables(stats.run, dataset, where="split = 'validation'")
    (row,) = found["By split"]
    splits = pq.read_table(dataset / "metadata/splits.parquet")["split"].to_pylist()
    assert (row["split"], row["utterances"]) == ("validation", splits.count("validation"))


def test_stats_of_nothing(dataset: Path, tmp_path: Path) -> None:
    for folder, where in ((dataset, "1 = 2"), (empty_dataset(tmp_path / "empty"), None)):
        code, found, _ = tables(stats.run, folder, where=where)
        assert code is ExitCode.DONE and found["Quantiles"][0]["num_values"] == 0 and found["By speaker (0)"] == []


def test_phones_that_a_vocabulary_lacks_have_counts_and_examples(dataset: Path, tmp_path: Path) -> None:
    file = tmp_path / "phones.txt"
    file.write_text("w\nʌ\nx\n", encoding="utf-8")
    code, found, events = tables(vocab.run, dataset, file)
    assert code is ExitCode.RUN_FAILED
    missing = {row["phone"]: row for row in found[f"Phones that {file} lacks"]}
    plain = Counter(phone for index in range(len(ALL)) for phone in utterance(index).phones)
    assert {phone: row["count"] for phone, row in missing.items()} == {"n": plain["n"], "ˈ": plain["ˈ"]}
    assert missing["ˈ"]["letters"] == "U+02C8 MODIFIER LETTER VERTICAL LINE"
    assert missing["ˈ"]["examples"] == "u000: one two ü; u015: one two ü; u030: one two ü"
    assert [row["phone"] for row in found[f"Phones of {file} that nobody says here"]] == ["x"]
    assert (events[-1]["num_affected"], events[-1]["missing"]) == (len(ALL), ["n", "ˈ"])


@pytest.mark.parametrize("content", ['["w", "ʌ", "n", "ˈ"]', '{"vocabulary": ["ˈ", "w", "ʌ", "n", "q"]}'])
def test_a_vocabulary_that_has_every_phone(dataset: Path, tmp_path: Path, content: str) -> None:
    file = tmp_path / "model.json"
    file.write_text(content, encoding="utf-8")
    code, _, events = tables(vocab.run, dataset, file)
    assert code is ExitCode.DONE and events[-1]["missing"] == [] and events[-1]["unused"] == (["q"] if "q" in content else [])


def test_a_data_set_has_every_phone_of_its_own_and_a_filter_may_leave_phones_out(dataset: Path) -> None:
    assert tables(vocab.run, dataset, dataset)[0] is ExitCode.DONE
    _, _, events = tables(vocab.run, dataset, dataset, where="utt_id = 'u001'")
    assert events[-1]["unused"] == ["ˈ"] and events[-1]["num_utterances"] == 1


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("nowhere", None, "there is no such run, data set or file"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b'{"vocabulary": 3}', "has no list of symbols named `vocabulary`"),
        ("a.txt", b"\xff", "a file of symbols is UTF-8"),
    ],
)
def test_what_is_no_vocabulary_is_refused(dataset: Path, tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((UsageError, InputError), match=sentence):
        tables(vocab.run, dataset, tmp_path / name)


def test_a_folder_without_a_vocabulary_is_refused(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no checkpoint"):
        tables(vocab.run, dataset, tmp_path / "empty")


def stored(index: int) -> np.ndarray | None:
    """The vector of an utterance as a side file holds it."""
    vector = utterance(index).vectors.get("speaker")
    return None if vector is None else vector.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3, 100])
def test_similar_utterances_are_those_of_a_plain_loop(dataset: Path, k: int) -> None:
    code, _, events = tables(similar.run, dataset, k=k)
    assert code is ExitCode.DONE
    table = pq.read_table(dataset / "metadata" / SIMILAR, page_checksum_verification=True)
    found = {row["utt_id"]: row for row in table.to_pylist()}
    with_vector = [index for index in range(len(ALL)) if stored(index) is not None]
    assert sorted(found) == [ALL[index]["utt_id"] for index in with_vector] and events[-1]["num_without_vector"] == len(ALL) - len(with_vector)
    for index in with_vector:
        own = ALL[index]
        others = [other for other in with_vector if other != index and (ALL[other]["group"], ALL[other]["speaker"]) == (own["group"], own["speaker"])]
        ranked = sorted(((float(stored(index) @ stored(other)), ALL[other]["utt_id"]) for other in others), reverse=True)[:k]  # type: ignore[operator]
        assert found[own["utt_id"]]["similar"] == [name for _, name in ranked]
        np.testing.assert_allclose(found[own["utt_id"]]["score"], [score for score, _ in ranked], atol=2e-3)


def test_similar_is_made_once_and_again_when_data_or_options_change(dataset: Path) -> None:
    path = dataset / "metadata" / SIMILAR
    tables(similar.run, dataset, k=2)
    first = path.read_bytes()
    assert any("is up to date" in event.get("message", "") for event in tables(similar.run, dataset, k=2)[2]) and path.read_bytes() == first
    tables(similar.run, dataset, k=3)
    assert path.read_bytes() != first
    tables(similar.run, dataset, k=2)
    assert path.read_bytes() == first
    for damaged in (first[:100], first[: len(first) // 3] + b"?" + first[len(first) // 3 + 1 :]):
        path.write_bytes(damaged)
        tables(similar.run, dataset, k=2)
        assert path.read_bytes() == first
    tables(similar.run, dataset, k=2, where="language = 'de'")
    assert pq.read_table(path).num_rows < len(ALL) // 2
    commit_part(dataset, identity(7, "id7"), [replace(utterance(90), utterance=replace(utterance(90).utterance, id="new"))], [], TarShard())
    tables(similar.run, dataset, k=2)
    assert "new" in pq.read_table(path)["utt_id"].to_pylist()


def test_similar_without_vectors_says_what_makes_them(tmp_path: Path) -> None:
    folder = empty_dataset(tmp_path / "set")
    assert tables(similar.run, folder)[0] is ExitCode.DONE
    commit_part(folder, identity(0), [coded("a")], [], TarShard())
    with pytest.raises(InputError, match=r"has no 'speaker' vectors \(none at all\). Prepare it with the stage that makes them, such as `speaker: {}`"):
        tables(similar.run, folder)


def test_a_converted_data_set_holds_out_and_names_the_same_speakers(dataset: Path, tmp_path: Path) -> None:
    held_out = metadata.SplitOptions(by="speaker", validation_where="speaker = 's3'")
    tables(speakers.run, dataset, num_speakers=3, where="speaker != 's3'")
    tables(metadata.split, dataset, options=held_out)
    tables(convert.run, dataset, tmp_path / "h5", shards="hdf5")
    tables(metadata.run, tmp_path / "h5", report=False)
    columns = ["utt_id", "speaker", "split"]
    before, after = (pq.read_table(folder / "metadata/index.parquet", columns=columns) for folder in (dataset, tmp_path / "h5"))
    assert before == after and {"validation", "train"} == set(after["split"].to_pylist()) and "voice-00001" in after["speaker"].to_pylist()
    tables(metadata.split, tmp_path / "h5", options=metadata.SplitOptions())
    decided = (tmp_path / "h5/metadata/splits.parquet").read_bytes()
    tables(convert.run, dataset, tmp_path / "h5", shards="hdf5")
    assert (tmp_path / "h5/metadata/splits.parquet").read_bytes() == decided


def plan_of(dataset: Path, **changes) -> Plan:
    return Plan(Dataset.open(dataset).columns, SamplerConfig(max_positions=512, prompt_min_duration_s=0.2, **changes))


@pytest.mark.parametrize(("mode", "temperature"), [("path", None), ("speaker", None), ("group", 2.0)])
def test_expected_shares_are_those_that_many_draws_have(dataset: Path, mode: str, temperature: float | None) -> None:
    plan = plan_of(dataset, mode=mode, temperature=temperature)
    shares, drawn = expected_shares(plan), draw(plan, 800)
    assert shares.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(drawn.rows / drawn.num_draws, shares, atol=0.1 * shares.max())
    np.testing.assert_allclose(drawn.levels / drawn.num_draws, level_shares(0.5, "uniform", 8), atol=4e-3)


def test_what_is_too_long_is_expected_never(dataset: Path) -> None:
    plan = plan_of(dataset)
    plan = Plan(plan.columns, plan.config.model_copy(update={"max_positions": 100}))
    shares = expected_shares(plan)
    assert (shares == 0).sum() == plan.num_too_long > 0 and shares.sum() == pytest.approx(1.0)


def test_the_explanation_counts_what_the_plan_holds(dataset: Path) -> None:
    options: Sequence[str] = ["sampler.mode=speaker", "sampler.max_positions=512", "sampler.prompt_min_duration_s=0.2"]
    _, found, _ = tables(sample.run, dataset, options, steps=40, explain=True)
    drawn = draw(plan_of(dataset, mode="speaker"), 40)
    figures = {row["what"]: row["value"] for row in found["What the sampler draws (mode speaker, seed 0)"]}
    assert (figures["draws"], figures["micro-batches"]) == (drawn.num_draws, 40)
    assert figures["positions in use"] == f"{drawn.num_positions / (40 * 512):.2%}"
    speakers = found["By speaker: expected and realised"]
    assert len(speakers) == 10 and {row["expected"] for row in speakers} == {"10.000%"}
    assert sum(row["draws"] for row in speakers) == sum(row["draws"] for row in found["By level: expected and realised"]) == drawn.num_draws
    assert sum(row["draws too many"] for row in found["By group: expected and realised"]) == pytest.approx(0, abs=0.05)


def test_draws_are_listed_by_their_ids(dataset: Path) -> None:
    _, found, _ = tables(sample.run, dataset, ["sampler.max_positions=512"], steps=2)
    (rows,) = found.values()
    assert {row["micro-batch"] for row in rows} == {0, 1} and {row["utterance"] for row in rows} <= {row["utt_id"] for row in ALL}
    plan = Plan(Dataset.open(dataset).columns, SamplerConfig(max_positions=512))
    assert len(rows) == draw(plan, 2).num_draws


def test_compacting_changes_nothing_that_is_read(dataset: Path) -> None:
    before = Dataset.open(dataset)
    assert main(["metadata", "compact", str(dataset), "--json"]) == 0
    after = Dataset.open(dataset)
    assert before.columns.fingerprint == after.columns.fingerprint and len(after) == len(ALL)
    assert main(["metadata", "check", str(dataset), "--json"]) == 0


def test_voices_are_told_apart_and_the_next_merge_uses_them(tmp_path: Path) -> None:
    """Three voices under one name; one utterance has no vector and keeps its speaker."""
    folder = empty_dataset(tmp_path / "set")
    centres = np.eye(16)[:3]
    utterances, truth = [], {}
    for index in range(30):
        vector = centres[index % 3] + np.random.default_rng(index).normal(0, 0.05, 16)
        made = coded(f"u{index:03d}", num_frames=20 + index % 3, speaker="unknown")
        utterances.append(replace(made, vectors={"speaker": (vector / np.linalg.norm(vector)).astype(np.float32)} if index else {}))
        truth[made.utterance.id] = index % 3
    for part in range(2):
        commit_part(folder, identity(part, f"id{part}"), utterances[part::2], [], TarShard())
    code, found, events = tables(speakers.run, folder)
    assert code is ExitCode.DONE and events[-1]["num_voices"] == 3
    assert [row["speakers before"] for row in found["Voices"]] == ["unknown 10", "unknown 10", "unknown 9"]
    table = pq.read_table(folder / "metadata" / "speaker_attribution.parquet").to_pylist()
    assert len({(row["speaker"], truth[row["utt_id"]]) for row in table}) == 3 and all(row["score"] > 0.9 and row["margin"] > 0.5 for row in table)
    assert main(["metadata", str(folder), "--no-report", "--json"]) == 0
    merged = {row["utt_id"]: row["speaker"] for row in pq.read_table(folder / "metadata/index.parquet").to_pylist()}
    assert merged == {name: "unknown" for name in truth} | {row["utt_id"]: row["speaker"] for row in table}
    assert pq.read_table(folder / "metadata/speakers.parquet")["speaker"].to_pylist() == ["unknown", "voice-00001", "voice-00002", "voice-00003"]
    assert main(["metadata", "split", str(folder), "--by", "speaker", "--validation-where", "speaker = 'voice-00002'", "--json"]) == 0
    splits = {row["utt_id"]: row["split"] for row in pq.read_table(folder / "metadata/splits.parquet").to_pylist()}
    assert {name for name, split in splits.items() if split == "validation"} == {name for name, speaker in merged.items() if speaker == "voice-00002"}
    assert main(["metadata", "check", str(folder), "--json"]) == 0
    (folder / "metadata" / "speaker_attribution.parquet").unlink()
    stdout = io.StringIO()
    assert metadata.run(folder, console=Console(as_json=True, stdout=stdout), check=True) is ExitCode.DONE
    assert "was made from other parts" in stdout.getvalue()


def test_voices_by_their_number_and_not_by_both(dataset: Path) -> None:
    _, found, events = tables(speakers.run, dataset, num_speakers=2)
    assert len(found["Voices"]) == 2 == events[-1]["num_voices"]
    with pytest.raises(UsageError, match="by --threshold or by --num-speakers: give one of the two"):
        tables(speakers.run, dataset, num_speakers=2, threshold=0.5)


def repeated(folder: Path, digests: Sequence[str]) -> None:
    utterances = [replace(coded(f"u{index:03d}"), source_digest=digest) for index, digest in enumerate(digests)]
    for part in range(2):
        commit_part(folder, identity(part, f"id{part}"), utterances[part::2], [], TarShard())


@pytest.mark.parametrize("digests", ["", "a", "aa", "abcabb", "abcdef", "zzzyyx" * 3])
def test_duplicates_are_those_of_a_plain_loop(tmp_path: Path, digests: str) -> None:
    folder = empty_dataset(tmp_path / "set")
    repeated(folder, digests)
    code, _, events = tables(duplicates.run, folder)
    order = [index for part in range(2) for index in range(part, len(digests), 2)]
    groups: dict[str, list[str]] = {}
    for index in order:
        groups.setdefault(digests[index], []).append(f"u{index:03d}")
    expected, number = {}, 0
    for members in groups.values():
        number += len(members) > 1
        expected |= {name: (number, members[0] if name != members[0] else None) for name in members if len(members) > 1}
    table = pq.read_table(folder / "metadata/duplicates.parquet").to_pylist()
    assert {row["utt_id"]: (row["group"], row["duplicate_of"]) for row in table} == expected
    assert code is ExitCode.DONE and events[-1]["num_groups"] == number and events[-1]["num_duplicates"] == len(expected) - number


def test_duplicates_by_other_columns_and_never_by_nothing(dataset: Path) -> None:
    _, _, events = tables(duplicates.run, dataset, by=["peak_dbfs"])
    with_peak = sum(row["peak_dbfs"] is not None for row in ALL)
    assert events[-1]["num_duplicates"] == with_peak - 1 and events[-1]["num_groups"] == 1
    _, _, events = tables(duplicates.run, dataset, by=["speaker", "language", "peak_dbfs"], where="language = 'de'")
    assert events[-1]["num_groups"] == len({row["speaker"] for row in ALL if row["language"] == "de" and row["peak_dbfs"] is not None})
    with pytest.raises(UsageError, match=r"no column 'speeker'. Did you mean 'speaker'\?"):
        tables(duplicates.run, dataset, by=["speeker"])


def test_duplicates_by_sound_are_those_that_the_fingerprints_say(tmp_path: Path) -> None:
    """A voice-like sound in two files, once at half the level, and a lossless copy; another one is alone, and one is too short for a vector."""
    from valle_data.fingerprint import DIMENSION, audio_hash

    columns = {"audio_hash": "text", "active_s": "float"}
    folder = tmp_path / "set"
    for name in ("shards", "quarantine", "vectors"):
        (folder / name).mkdir(parents=True)
    replace(manifest(), columns=columns).save(folder)
    random = np.random.default_rng(0)
    sounds = [random.normal(size=16_000).astype(np.float32) / 4 for _ in range(2)]
    sounds = [sounds[0], sounds[1], sounds[0] / 2, sounds[1], np.zeros(100, np.float32)]
    shapes = [random.normal(size=DIMENSION) for _ in range(2)]
    utterances = []
    for index, sound in enumerate(sounds):
        vector = np.concatenate([half / np.linalg.norm(half) for half in np.split(shapes[index % 2], [128])])
        scores = {"audio_hash": audio_hash(sound), "active_s": 1.0 if index < 4 else None}
        utterances.append(replace(coded(f"u{index}"), scores=scores, vectors={"fingerprint": vector.astype(np.float32)} if index < 4 else {}))
    for part in range(2):
        commit_part(folder, replace(identity(part, f"id{part}"), columns=columns), utterances[part::2], [], TarShard())
    code, found, events = tables(duplicates.run, folder)
    assert code is ExitCode.DONE and list(found) == ["The same by fingerprint"]
    rows = {row["utt_id"]: (row["duplicate_of"], round(row["similarity"], 2)) for row in pq.read_table(folder / "metadata/duplicates.parquet").to_pylist()}
    assert rows == {"u0": (None, 1.0), "u2": ("u0", 1.0), "u1": (None, 1.0), "u3": ("u1", 1.0)}
    assert (events[-1]["num_groups"], events[-1]["num_duplicates"]) == (2, 2)


def test_without_fingerprints_that_is_said(dataset: Path) -> None:
    _, _, events = tables(duplicates.run, dataset)
    assert any("has no fingerprints, so only the same stretches of the same files are found" in event.get("message", "") for event in events)


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        ("metadata smilar work/x", 2, "No such command 'smilar'. Did you mean 'similar'? See: valle metadata --help"),
        ("metadata chek", 2, "Did you mean 'check'?"),
        ("metadata", 2, "Missing argument 'DATASET'. See: valle metadata merge --help"),
        ("metadata no/such/folder", 1, "no/such/folder is not a prepared data set"),
        ("metadata --check no/such/folder", 1, "no/such/folder is not a prepared data set"),
        ("metadata stats no/such/folder", 1, "no/such/folder is not a prepared data set"),
        ("metadata split x --by group", 2, "Invalid value for '--by'"),
        ("metadata vocab x", 2, "Missing option '--against'"),
        ("metadata similar x --k 0", 2, "Invalid value for '--k'"),
        ("metadata sample x sampler.mod=speaker", 2, "Did you mean 'mode'?"),
    ],
)
def test_a_sub_command_may_be_left_out_and_a_mistyped_one_is_named(
    capsys: pytest.CaptureFixture, line: str, code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == code
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_a_folder_that_is_called_like_a_mistyped_command_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    empty_dataset(tmp_path / "stat")
    assert main(["metadata", "stat", "--no-report"]) == 0
    assert "stat has no utterances" in capsys.readouterr().out
    assert (tmp_path / "stat/metadata/stats.json").is_file()


def test_help_lists_every_sub_command(capsys: pytest.CaptureFixture) -> None:
    assert main(["metadata", "--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("merge", "check", "split", "stats", "vocab", "similar", "speakers", "duplicates", "hdf5", "compact", "sample"):
        assert f"\n  {name} " in shown
    assert "Example:\n    valle metadata work/digits" in shown


PAGE = (ROOT / "docs/metadata.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", [line.partition("#")[0].strip() for line in PAGE.splitlines() if line.startswith("valle metadata")])
def test_the_commands_of_the_page_run(line: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    shutil.copytree(digits, tmp_path / "work/digits")
    (tmp_path / "heldout.txt").write_text(f"{pq.read_table(digits / 'metadata/splits.parquet')['utt_id'][0]} test\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    assert main(["metadata", "check", "work/digits"]) == 0
