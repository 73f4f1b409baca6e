"""Stages: same length, same order, own reason codes, and no utterance depends on its neighbours."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.data.stage_examples import EXAMPLES, StageExample
from tests.toy_codec import FRAME, ToyCodec
from valle_data.audio import AudioLimits, probe
from valle_data.config import StageConfig
from valle_data.errors import InputError, ReasonCode
from valle_data.records import AudioRef, PlannedUtterance, Utterance
from valle_data.shards.base import SAFE_ID
from valle_data.sound import Sound
from valle_data.source import audio_digest, file_digest
from valle_data.stages import STAGES, decode
from valle_data.stages.base import Outcome, Stage, Tools, Work
from valle_data.stages.decode import DecodeStage, levels
from valle_data.stages.phonemize import PhonemizeStage
from valle_data.stages.quantize import QuantizeStage
from valle_data.text.phonemizers.characters import CharacterPhonemizer

RATE = 24000
BAD_TEXTS = {"": ReasonCode.TEXT_EMPTY, "x" * 3000: ReasonCode.TEXT_TOO_LONG, "<speak>hi</speak>": ReasonCode.TEXT_MARKUP, "日本": ReasonCode.UNKNOWN_PHONE}


@pytest.fixture(scope="module")
def tools() -> Tools:
    return Tools(lambda: ToyCodec(ToyCodec.Config()), lambda: CharacterPhonemizer(CharacterPhonemizer.Config()))


def tone(duration_s: float, rate: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(np.arange(round(duration_s * rate)) * 0.05)).astype(np.float32)


def work(name: str, *, path: str = "none.wav", text: str = "one two") -> Work:
    utterance = Utterance(name, AudioRef(path), text, "s", "g", "en-us")
    return Work.begin(PlannedUtterance(utterance, "d" * 32, RATE, 1.0, f"fingerprint of {name}"))


def on_disk(name: str, path: Path) -> Work:
    planned = work(name, path=str(path)).planned
    return Work.begin(replace(planned, source_digest=file_digest(str(path))))


def heard(name: str, duration_s: float) -> Work:
    return replace(work(name), sound=Sound(tone(duration_s), RATE), duration_s=duration_s)


def example(name: str) -> StageExample:
    found = EXAMPLES[name]
    for package in found.needs:
        pytest.importorskip(package)
    return found


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_keeps_the_contract(name: str, tools: Tools) -> None:
    kind, shown = STAGES[name], example(name)
    assert issubclass(kind, Stage) and issubclass(kind.Config, StageConfig) and kind.name == name
    assert kind.reasons <= set(ReasonCode) and set(kind.columns.values()) <= {"float", "text"} and kind.version
    config = kind.Config.model_validate(dict(shown.options))
    json.dumps(config.options())
    assert isinstance(config.stamp(), str)
    result = kind(config, tools).run([])
    assert result.kept == [] and result.rejected == []


@pytest.mark.parametrize("name", STAGES)
def test_no_utterance_depends_on_the_others(name: str, tools: Tools) -> None:
    kind, shown = STAGES[name], example(name)
    stage = kind(kind.Config.model_validate(dict(shown.options)), tools)
    works = shown.make_works()
    together = stage.run(works)
    alone = [stage.run([work]) for work in reversed(works)][::-1]
    assert [seen(work) for work in together.kept] == [seen(work) for result in alone for work in result.kept]
    assert together.rejected == [rejection for result in alone for rejection in result.rejected]
    assert together.kept, "the example has something to keep"
    before = {score for work in works for score in work.scores}
    for work in together.kept:
        values = {score: value for score, value in work.scores.items() if score not in before}
        assert values.keys() <= kind.columns.keys(), "it writes the columns it names"
        assert all(value is None or isinstance(value, {"float": float, "text": str}[kind.columns[score]]) for score, value in values.items())
        assert all(vector.shape == (kind.vectors[side],) for side, vector in work.vectors.items() if side in kind.vectors)


def seen(work: Work) -> tuple[object, ...]:
    """All that a stage may change of a work, to compare."""
    sound = None if work.sound is None else (work.sound.sample_rate_hz, work.sound.samples.tobytes())
    codes = None if work.codes is None else work.codes.tobytes()
    vectors = {name: vector.tobytes() for name, vector in work.vectors.items()}
    return work.utterance, sound, codes, work.duration_s, work.text_normalized, work.phones, dict(work.scores), vectors


class Picky(Stage):
    name = "picky"
    reasons = frozenset({ReasonCode.TEXT_EMPTY})

    def __init__(self, reason: ReasonCode) -> None:
        self.reason = reason

    def process(self, works: Sequence[Work]) -> list[Work | InputError]:
        return [InputError(self.reason, f"no {w.planned.utterance.id}") if index % 2 else w for index, w in enumerate(works)]


def test_rejections_are_written_up_and_the_rest_goes_on_in_order() -> None:
    result = Picky(ReasonCode.TEXT_EMPTY).run([work(name) for name in "abcd"])
    assert [w.planned.utterance.id for w in result.kept] == ["a", "c"]
    assert [(r.utterance, r.path, r.stage, r.reason, r.message, r.fingerprint) for r in result.rejected] == [
        (name, "none.wav", "picky", ReasonCode.TEXT_EMPTY, f"no {name}", f"fingerprint of {name}") for name in "bd"
    ]


def test_a_fault_of_the_machine_is_no_fault_of_the_utterance() -> None:
    with pytest.raises(InputError, match="no b"):
        Picky(ReasonCode.STORAGE_FAILED).run([work(name) for name in "ab"])


def test_decode_resamples_and_scores(tmp_path: Path, tools: Tools) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0, 16000), 16000)
    (tmp_path / "b.wav").write_bytes(b"<html>")
    result = DecodeStage(DecodeStage.Config(), tools).run([on_disk("a", tmp_path / "a.wav"), on_disk("b", tmp_path / "b.wav")])
    assert [(r.utterance, r.reason) for r in result.rejected] == [("b", ReasonCode.NOT_AUDIO)]
    kept = result.kept[0]
    assert len(kept.heard().at(RATE)) == RATE and kept.duration_s == 1.0
    assert kept.scores["rms_dbfs"] == pytest.approx(-9.03, abs=0.05) and kept.scores["peak_dbfs"] == pytest.approx(-6.02, abs=0.5)


@pytest.mark.parametrize(
    ("reason", "words"),
    [(ReasonCode.STORAGE_FAILED, "cannot be read now: No such file"), (ReasonCode.SOURCE_CHANGED, "changed after it was planned")],
)
def test_a_planned_recording_that_is_gone_or_another_stops_the_run(reason: ReasonCode, words: str, tmp_path: Path, tools: Tools) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE)
    planned = on_disk("a", tmp_path / "a.wav")
    (tmp_path / "a.wav").unlink()
    if reason is ReasonCode.SOURCE_CHANGED:
        soundfile.write(tmp_path / "a.wav", tone(0.5), RATE)
    with pytest.raises(InputError, match=words) as caught:
        DecodeStage(DecodeStage.Config(), tools).run([planned])
    assert caught.value.reason is reason


def test_a_recording_of_many_stretches_is_read_once_for_its_digest(tmp_path: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE)
    works, read = [on_disk(name, tmp_path / "a.wav") for name in "abc"], []
    monkeypatch.setattr(decode, "audio_digest", lambda place: read.append(place) or audio_digest(place))
    assert len(DecodeStage(DecodeStage.Config(), tools).run(works).kept) == 3 and len(read) == 1


def test_a_wav_of_chunks_without_end_is_refused_before_it_is_walked(tmp_path: Path) -> None:
    path = tmp_path / "zeros.wav"
    path.write_bytes(b"RIFF\x00\x00\x00\x00WAVE" + bytes(100_000))
    with pytest.raises(InputError, match="data chunk is behind 1000 others") as caught:
        probe(str(path), AudioLimits())
    assert caught.value.reason is ReasonCode.BAD_HEADER


def test_levels_match_their_definition() -> None:
    assert levels(np.array([1.0, -1.0], np.float32)) == {"rms_dbfs": 0.0, "peak_dbfs": 0.0}
    assert levels(np.zeros(4, np.float32)) == {"rms_dbfs": -120.0, "peak_dbfs": -120.0}


def test_phonemize_sorts_out_bad_texts_and_languages(tools: Tools) -> None:
    works = [work("good", text="One two"), *(work(f"bad{index}", text=text) for index, text in enumerate(BAD_TEXTS))]
    result = PhonemizeStage(PhonemizeStage.Config(max_characters=2000), tools).run(works)
    assert [w.phones for w in result.kept] == [tuple("one two")]
    assert {r.utterance: r.reason for r in result.rejected} == {f"bad{index}": reason for index, reason in enumerate(BAD_TEXTS.values())}


def test_phonemize_does_not_depend_on_the_company(tools: Tools) -> None:
    stage = PhonemizeStage(PhonemizeStage.Config(), tools)
    works = [work(str(index), text=f"text {index}") for index in range(20)]
    works = [replace(w, utterance=replace(w.utterance, language=("en-us", "de")[i % 2])) for i, w in enumerate(works)]
    assert [w.phones for w in stage.run(works).kept] == [stage.run([w]).kept[0].phones for w in works]


@pytest.mark.parametrize("config", [QuantizeStage.Config(), QuantizeStage.Config(batch_size=1), QuantizeStage.Config(batch_duration_s=0.5)])
@pytest.mark.parametrize("count", [0, 1, 9])
def test_codes_do_not_depend_on_batches(config: QuantizeStage.Config, count: int, tools: Tools) -> None:
    works = [heard(str(index), (7 * index % 5 + 1) * 0.1) for index in range(count)]
    result = QuantizeStage(config, tools).run(works)
    assert [w.planned.utterance.id for w in result.kept] == [w.planned.utterance.id for w in works]
    for before, after in zip(works, result.kept, strict=True):
        assert after.codes is not None and after.sound is None
        assert (after.codes == tools.codec.encode([before.heard().at(RATE)])[0]).all()
        assert after.codes.shape == (2, -(-len(before.heard().at(RATE)) // FRAME))


def test_batches_keep_their_limits(tools: Tools) -> None:
    stage = QuantizeStage(QuantizeStage.Config(batch_duration_s=2.0, batch_size=3), tools)
    works = [heard(str(index), duration_s) for index, duration_s in enumerate((0.1, 5.0, 0.9, 0.2, 0.3, 1.0, 0.1))]
    batches = stage._batches(works)
    assert sorted(index for batch in batches for index in batch) == list(range(7))
    for batch in batches:
        assert len(batch) <= 3 and (len(batch) == 1 or max(works[i].duration_s for i in batch) * len(batch) <= 2.0)


class Broken(ToyCodec):
    def encode(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.full((2, 3), 1024 if len(waveform) > RATE else 5, np.uint16) for waveform in waveforms]


def test_codes_out_of_range_are_refused(tools: Tools) -> None:
    stage = QuantizeStage(QuantizeStage.Config(), Tools(lambda: Broken(ToyCodec.Config()), lambda: tools.phonemizer))
    result = stage.run([heard("short", 0.5), heard("long", 1.5)])
    assert [w.planned.utterance.id for w in result.kept] == ["short"]
    assert [(r.utterance, r.reason) for r in result.rejected] == [("long", ReasonCode.CODE_OUT_OF_RANGE)]


class Halves(Picky):
    """Cuts every sound in two."""

    def __init__(self) -> None:
        super().__init__(ReasonCode.TEXT_EMPTY)

    def process(self, works: Sequence[Work]) -> list[Outcome]:
        return [[w.segment(0, w.duration_s / 2), w.segment(w.duration_s / 2, w.duration_s)] for w in works]


def test_segments_take_the_place_of_their_recording_with_ids_of_their_own() -> None:
    result = Halves().run([heard("first", 1.0), heard("x" * 89, 2.0)])
    assert [w.planned.utterance.id for w in result.kept] == ["first", "first", "x" * 89, "x" * 89]
    assert [(w.utterance.audio.start_s, w.utterance.audio.duration_s) for w in result.kept] == [(0, 0.5), (0.5, 0.5), (0, 1), (1, 1)]
    ids = [w.utterance.id for w in result.kept]
    assert len(set(ids)) == 4 and all(SAFE_ID.fullmatch(name) for name in ids) and ids[1].startswith("first-000000500-")
    assert ids == [w.utterance.id for w in Halves().run([heard("first", 1.0), heard("x" * 89, 2.0)]).kept], "stable"
    assert result.kept[1].heard().duration_s == 0.5


def test_a_score_that_is_not_finite_is_none() -> None:
    assert work("a").scored(a=float("nan"), b=float("-inf"), c=1.0, d="x").scores == {"a": None, "b": None, "c": 1.0, "d": "x"}
