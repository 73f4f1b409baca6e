"""Does it speak? Recordings, their codec round trips and synthesis of the same texts before the same judges.

    python benchmarks/intelligibility.py digits data/digits --utterances 30
    python benchmarks/intelligibility.py digits data/digits --checkpoint runs/digits -o docs/benchmarks/digits.md
    python benchmarks/intelligibility.py sentences data/digits --checkpoint runs/digits

`digits` takes texts and recordings of the corpus's `heldout` group; `sentences` takes the sixty sentences of `speech_texts.py`, which no corpus
contains, and has flite record them. Voices are enrolled, and prompted, with recordings of the `train` group: `CORPUS/{group}/{speaker}/*.wav|txt`.
Synthesis comes from `--checkpoint`, or ready made from `--synthesis`, a folder of `{speaker}/{utterance}.wav`.
"""

import argparse
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from judges import GrammarJudge, Identity, Sound, SpeakerJudge, WordErrors, plain_words, total, word_errors
from record import Table, interval, median_and_spread, write_record
from speech_texts import DIGITS, SENTENCES
from synthesise_speech import FLITE_VOICES, Line, synthesise

from valle_data.codecs import CODECS
from valle_data.codecs.base import Codec
from valle_model.decoding.filters import SamplingConfig
from valle_model.synthesis import SynthesisRequest
from valle_model.voice import Voice

ENROLMENT = 10  # recordings of each voice


@dataclass(frozen=True)
class Item:
    """A recording, who speaks and what is said."""

    path: Path
    speaker: str
    text: str

    @classmethod
    def read(cls, path: Path) -> "Item":
        return cls(path, path.parent.name, path.with_suffix(".txt").read_text(encoding="utf-8").strip())


@dataclass(frozen=True)
class Verdict:
    """What the judges say of one sound."""

    errors: WordErrors
    understood: bool
    identity: Identity
    speaker: str


Speak = Callable[[Item], Sound]


def items_below(folder: Path, per_speaker: int, skip: int = 0) -> list[Item]:
    """The first recordings of each speaker by name, after `skip` of them."""
    speakers = sorted(path for path in folder.iterdir() if path.is_dir())
    return [Item.read(path) for speaker in speakers for path in sorted(speaker.glob("*.wav"))[skip : skip + per_speaker]]


def record_sentences(folder: Path, count: int) -> list[Item]:
    """The first `count` of the sixty sentences by every flite voice."""
    lines = [Line(folder / voice / f"{i:02d}.wav", "flite", voice, text) for voice in FLITE_VOICES for i, text in enumerate(SENTENCES[:count])]
    for line in lines:
        synthesise(line)
    return [Item.read(line.path) for line in lines]


def round_trip(codec: Codec) -> Speak:
    """The recording through the codec and back."""

    def speak(item: Item) -> Sound:
        sound = Sound.read(item.path).at(codec.spec.sample_rate_hz)
        (codes,) = codec.encode([sound.samples])
        return Sound(codec.decode(codes)[: len(sound.samples)], sound.sample_rate_hz)

    return speak


def from_folder(folder: Path) -> Speak:
    """Synthesis made elsewhere."""
    return lambda item: Sound.read(folder / item.speaker / item.path.name)


def synthesis(args: argparse.Namespace, voice: Voice, items: Sequence[Item], prompts_of_all: Sequence[Item]) -> Speak:
    """Every text spoken by `voice`, prompted with recordings of the item's speaker in turn, one seed an item."""
    language = voice.language(None)
    turns: dict[str, int] = {}
    requests = []
    for seed, item in enumerate(items):
        prompts = [i for i in prompts_of_all if i.speaker == item.speaker]
        prompt = prompts[turns.get(item.speaker, 0) % len(prompts)]
        turns[item.speaker] = turns.get(item.speaker, 0) + 1
        said = [*voice.phones(prompt.text, language), *voice.word_boundary] if args.prompt_text else None
        requests.append(
            SynthesisRequest(
                phones=voice.phones(item.text, language),
                language=language,
                prompt=voice.encode_prompt(prompt.path),
                prompt_phones=said,
                sampling=SamplingConfig(temperature=args.temperature, top_p=args.top_p, repetition_threshold=args.repetition_threshold, seed=seed),
                max_duration_s=10.0,
            )
        )
    results = [result for start in range(0, len(requests), 16) for result in voice.synthesizer.synthesize(requests[start : start + 16])]
    print("ended by", dict(Counter(result.stop_reason for result in results)), "checkpoint", voice.checkpoint.name, flush=True)
    sounds = {item.path: Sound(result.waveform, voice.card.codec.sample_rate_hz) for item, result in zip(items, results, strict=True)}
    return lambda item: sounds[item.path]


def judge(items: Sequence[Item], speak: Speak, hears: GrammarJudge, knows: SpeakerJudge) -> list[Verdict]:
    """Every item as `speak` says it. Silence is understood by nobody and sounds like nobody."""
    verdicts = []
    for item in items:
        sound = speak(item)
        heard = hears.hear(sound)
        identity = knows.identify(sound, item.speaker) if len(sound.samples) else Identity("", 0.0, np.zeros(256, dtype=np.float32))
        verdicts.append(Verdict(word_errors(item.text, heard), heard == plain_words(item.text), identity, item.speaker))
    return verdicts


def row(name: str, verdicts: Sequence[Verdict], knows: SpeakerJudge) -> tuple[str, ...]:
    """One line of the table."""

    def rate(some: Sequence[Verdict]) -> float:
        return 100 * total([v.errors for v in some]).rate

    low, high = interval(verdicts, rate)
    voices = sorted({v.speaker for v in verdicts})
    return (
        name,
        f"{rate(verdicts):.1f} % ({low:.1f}-{high:.1f})",
        ", ".join(f"{voice} {rate([v for v in verdicts if v.speaker == voice]):.1f}" for voice in voices),
        f"{100 * statistics.mean(v.understood for v in verdicts):.1f} %",
        f"{100 * statistics.mean(v.identity.nearest == v.speaker for v in verdicts):.1f} %",
        median_and_spread([v.identity.cosine for v in verdicts]),
        f"{min(knows.mean_cosine([v.identity for v in verdicts if v.speaker == voice], voice) for voice in voices):.3f}",
    )


COLUMNS = (
    "speech",
    "word errors (95 % interval)",
    "by voice, %",
    "understood whole",
    "voice identified",
    "cosine of an utterance with its voice, median (range)",
    "of a voice's mean, lowest",
)


def columns(args: argparse.Namespace, voice: Voice | None, codec: Codec, items: Sequence[Item]) -> dict[str, Speak]:
    """What is compared, in order. Prompts are none of the recordings that the speaker judge enrols."""
    chosen: dict[str, Speak] = {"recording": lambda item: Sound.read(item.path), "codec round trip": round_trip(codec)}
    if args.synthesis:
        chosen["synthesis"] = from_folder(args.synthesis)
    if voice:
        enrolled = {item.path for item in items_below(args.corpus / "train", ENROLMENT)}
        prompts = [item for item in items_below(args.corpus / "train", 2 * ENROLMENT) if item.path not in enrolled]
        chosen["synthesis"] = synthesis(args, voice, items, prompts)
    return chosen


def evaluate(args: argparse.Namespace, folder: Path) -> Table:
    """Judge every column on the same items."""
    enrolment = items_below(args.corpus / "train", ENROLMENT)
    if args.task == "digits":
        items, hears = items_below(args.corpus / "heldout", args.utterances, args.skip), GrammarJudge.of_words(DIGITS)
    else:
        items, hears = record_sentences(folder, args.utterances), GrammarJudge.of_sentences(SENTENCES)
    sounds = {speaker: [Sound.read(i.path) for i in enrolment if i.speaker == speaker] for speaker in sorted({i.speaker for i in enrolment})}
    knows = SpeakerJudge(sounds)
    voice = Voice.load(args.checkpoint) if args.checkpoint else None
    codec = voice.synthesizer.codec if voice else CODECS.build(CODECS[args.codec].Config(weights=args.weights))
    rows = []
    for name, speak in columns(args, voice, codec, items).items():
        rows.append(row(name, judge(items, speak, hears, knows), knows))
        print("  ".join(rows[-1]), flush=True)
    seconds = float(np.sum([Sound.read(item.path).duration_s for item in items]))
    title = f"{args.task}: {len(items)} utterances of {len(sounds)} voices, {seconds:.0f} s; codec {codec.spec}"
    if voice:
        title += f"; {voice.checkpoint.name}, temperature {args.temperature:g}, top-p {args.top_p:g}"
    return Table(title, COLUMNS, tuple(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("digits", "sentences"))
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--utterances", type=int, default=30, help="of each voice")
    parser.add_argument("--skip", type=int, default=0, help="digits: leave out so many of each voice, such as those that settings were chosen on")
    parser.add_argument("--codec", default="mini")
    parser.add_argument("--weights", type=Path, help="of the codec, when there is no checkpoint; default: its own")
    parser.add_argument("--checkpoint", type=Path, help="a run or checkpoint of `valle train`")
    parser.add_argument("--prompt-text", action="store_true", help="tell the model what its prompt says")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--repetition-threshold", type=float, default=1.0)
    parser.add_argument("--synthesis", type=Path, help="folder of ready synthesis")
    parser.add_argument("-o", "--out", type=Path, help="write the record here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        table = evaluate(args, Path(folder))
    print(table.markdown())
    if args.out:
        judges = "pocketsphinx with a closed grammar hears the words, resemblyzer tells the voices apart; intervals are bootstrapped over utterances."
        write_record(args.out, f"Does it speak? {args.task.capitalize()}", judges, [table])


if __name__ == "__main__":
    main()
