"""`valle synth` through its command line, on a small model with random weights: every flag reaches the model."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pipelines.cli import main
from valle_data.codecs import CODECS
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.vocabulary import Vocabulary
from valle_model.card import ModelCard
from valle_model.checkpoint import Checkpoint, save_checkpoint
from valle_model.valle import ModelConfig
from valle_model.voice import Voice

TEXT = "one two"
# The defaults keep to likely codes; a random model wants all of them, or every flag finds the same few.
BASE = ("--max-duration", "1.2", "--seed", "5", "--temperature", "1", "--top-p", "1")


def make_card(languages: tuple[str, ...] = ("en-us", "de")) -> ModelCard:
    codec, phonemizer = CODECS["mini"](), PHONEMIZERS["espeak"](PHONEMIZERS["espeak"].Config())
    architecture = {"name": "llama", "width": 32, "depth": 2, "heads": 2, "feedforward": 48}
    return ModelCard(
        config=ModelConfig.model_validate({"architecture": architecture, "frames_per_phone": 2.0}),
        vocabulary=Vocabulary(phonemizer.symbols),
        languages=languages,
        tasks=("tts", "tts-c"),
        codec=codec.spec,
        codec_config={"name": "mini"},
        phonemizer_config={"name": "espeak"},
        phonemizer_version=phonemizer.version,
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose model is random but not indifferent: its logits are spread, so every filter matters, and it hears the language."""
    run = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    net = make_card().build()
    with torch.no_grad():
        net.embedding.weight.mul_(2)
        net.embedding.weight[net.ids.language("en-us") : net.ids.language("de") + 1].mul_(10)
        net.output.weight.mul_(8)
        net.output.weight[net.ids.stop] = 0
    save_checkpoint(run, 1, Checkpoint(make_card(), net.state_dict(), {}, {"step": 1}))
    return run


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompt") / "a voice.wav"
    soundfile.write(path, 0.3 * np.sin(np.arange(16000) / 16000 * 2 * np.pi * np.linspace(100, 900, 16000)), 16000)
    return path


def synth(checkpoint: Path, folder: Path, *flags: str, text: str = TEXT) -> bytes:
    """The wave file that the command writes."""
    folder.mkdir(exist_ok=True, parents=True)
    out = folder / "out.wav"
    assert main(["synth", text, "--checkpoint", str(checkpoint), "-o", str(out), *BASE, *flags]) == 0
    return out.read_bytes()


def test_the_same_seed_says_the_same(checkpoint: Path, tmp_path: Path) -> None:
    assert synth(checkpoint, tmp_path / "a") == synth(checkpoint, tmp_path / "b")


@pytest.mark.parametrize(
    "flags",
    [
        ("--temperature", "0.3"),
        ("--top-k", "2"),
        ("--top-p", "0.3"),
        ("--repetition-penalty", "3"),
        ("--max-duration", "0.4"),
        ("--nar-temperature", "1"),
        ("--seed", "6"),
        ("--seed", "0"),
        ("--language", "de"),
    ],
    ids=lambda flags: flags[0],
)
def test_each_flag_changes_what_is_said(checkpoint: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert synth(checkpoint, tmp_path / "with", *flags) != synth(checkpoint, tmp_path / "without")


def test_the_repetition_window_matters_to_the_penalty(checkpoint: Path, tmp_path: Path) -> None:
    narrow, wide = (synth(checkpoint, tmp_path / size, "--repetition-penalty", "3", "--repetition-window", size) for size in ("1", "30"))
    assert narrow != wide


def test_repetition_aware_sampling_breaks_up_repetition(checkpoint: Path, tmp_path: Path) -> None:
    """In a hundred frames of two choices each some code comes again; with a threshold of 0 that is drawn again from all codes."""
    flags = ("--top-k", "2", "--max-duration", "4", "--repetition-window", "100", "--repetition-threshold")
    plain, aware = (synth(checkpoint, tmp_path / share, *flags, share) for share in ("1", "0"))
    assert plain != aware


def test_prompt_and_prompt_text_change_what_is_said(checkpoint: Path, prompt: Path, tmp_path: Path) -> None:
    plain = synth(checkpoint, tmp_path / "plain")
    prompted = synth(checkpoint, tmp_path / "prompted", "--prompt", str(prompt))
    continued = synth(checkpoint, tmp_path / "continued", "--prompt", str(prompt), "--prompt-text", "three")
    assert len({plain, prompted, continued}) == 3


def test_greedy_ways_to_say_it_agree(checkpoint: Path, tmp_path: Path) -> None:
    greedy = synth(checkpoint, tmp_path / "greedy", "--temperature", "0")
    assert synth(checkpoint, tmp_path / "k", "--top-k", "1") == greedy
    assert synth(checkpoint, tmp_path / "p", "--top-p", "0.000001") == greedy


def test_several_texts_each_sound_as_alone_and_get_a_file(checkpoint: Path, tmp_path: Path) -> None:
    texts = ("one two", "three four five six", "nine")
    lines = tmp_path / "texts.txt"
    lines.write_text("\n".join(texts) + "\n\n", encoding="utf-8")
    out = tmp_path / "all.wav"
    assert main(["synth", "--checkpoint", str(checkpoint), "--text-file", str(lines), "-o", str(out), *BASE]) == 0
    for place, text in enumerate(texts, 1):
        assert (tmp_path / f"all-{place:03d}.wav").read_bytes() == synth(checkpoint, tmp_path / f"alone{place}", text=text), text


def test_the_result_says_how_to_make_it_again(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new.wav"
    assert main(["synth", TEXT, "--checkpoint", str(checkpoint), "-o", str(out), "--max-duration", "0.4"]) == 0
    details = json.loads(out.with_suffix(".json").read_text())
    assert details["text"] == TEXT and details["stop_reason"] == "max_frames" and details["num_frames"] == 10
    first = out.read_bytes()
    assert main(["synth", TEXT, "--checkpoint", str(checkpoint), "-o", str(out), "--max-duration", "0.4", "--seed", str(details["seed"])]) == 0
    assert out.read_bytes() == first
    info = soundfile.info(out)
    assert (info.samplerate, info.channels, info.frames) == (24000, 1, 10 * 960)
    assert "real-time factor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--language", "fr"], 2, "not trained on the language 'fr'"),
        (["--prompt-text", "x"], 2, "there is no --prompt"),
        (["--top-p", "0"], 2, "--top-p"),
        (["--repetition-penalty", "0.5"], 2, "--repetition-penalty"),
        (["--max-duration", "0"], 2, "--max-duration"),
        (["--max-duration", "inf"], 2, "--max-duration"),
        (["--nar-temperature", "nan"], 2, "--nar-temperature"),
        (["--prompt", "nowhere.wav"], 1, "not_audio"),
        (["-o", "out.mp3"], 2, ".wav"),
        (["-o", "no/such/folder/out.wav"], 2, "There is no folder"),
    ],
    ids=str,
)
def test_mistakes_get_a_sentence(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, sentence: str) -> None:
    assert main(["synth", TEXT, "--checkpoint", str(checkpoint), "-o", str(tmp_path / "out.wav"), *arguments]) == code
    assert sentence in capsys.readouterr().err


def test_a_text_that_says_nothing_is_refused(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "😀", "--checkpoint", str(checkpoint), "-o", str(tmp_path / "out.wav")]) == 1
    assert "text_" in capsys.readouterr().err


def test_a_codec_that_is_not_the_models_own_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = make_card()
    other = replace(card, codec=replace(card.codec, weights_hash="0" * 64))
    save_checkpoint(tmp_path, 1, Checkpoint(other, other.build().state_dict(), {}, {"step": 1}))
    assert main(["synth", TEXT, "--checkpoint", str(tmp_path), "-o", str(tmp_path / "out.wav")]) == 1
    message = capsys.readouterr().err
    assert "dataset_mismatch" in message and "weights 000000000000" in message and card.codec.weights_hash[:12] in message


def test_another_version_of_the_phonemizer_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = make_card()
    save_checkpoint(tmp_path, 1, Checkpoint(replace(card, phonemizer_version="espeak 0.1"), card.build().state_dict(), {}, {"step": 1}))
    assert main(["synth", TEXT, "--checkpoint", str(tmp_path), "-o", str(tmp_path / "out.wav")]) == 1
    message = capsys.readouterr().err
    assert "dataset_mismatch" in message and "espeak 0.1" in message and card.phonemizer_version in message


def test_a_model_that_never_learnt_to_continue_refuses_a_prompt_text(prompt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = replace(make_card(), tasks=("tts",))
    save_checkpoint(tmp_path, 1, Checkpoint(card, card.build().state_dict(), {}, {"step": 1}))
    arguments = ["synth", TEXT, "--checkpoint", str(tmp_path), "-o", str(tmp_path / "out.wav"), "--prompt", str(prompt)]
    assert main([*arguments, "--prompt-text", "three"]) == 2
    assert "needs a model trained on the task tts-c" in capsys.readouterr().err


def test_a_newer_broken_checkpoint_is_named(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(checkpoint, run)
    (run / "checkpoints/step-000000002").mkdir()
    synth(run, tmp_path / "out")
    assert "step-000000002" in capsys.readouterr().out


def test_a_text_that_ends_at_once_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = make_card()
    net = card.build()
    with torch.no_grad():
        net.output.weight.zero_()
        net.output.weight[net.ids.stop] = 100 * net.backbone.model.norm.weight
    save_checkpoint(tmp_path, 1, Checkpoint(card, net.state_dict(), {}, {"step": 1}))
    lines = tmp_path / "texts.txt"
    lines.write_text("one\ntwo\nthree\nfour\n", encoding="utf-8")
    code = main(["synth", "--checkpoint", str(tmp_path), "--text-file", str(lines), "-o", str(tmp_path / "all.wav"), "--max-duration", "0.2", "--top-p", "1"])
    spoken = len(list(tmp_path.glob("all-*.wav")))
    assert code == (1 if spoken < 4 else 0)
    if code:
        assert f"{4 - spoken} of 4 texts" in capsys.readouterr().err


def test_codes_are_the_same_in_any_company(checkpoint: Path) -> None:
    """Batch neighbours, finished or not, change nothing."""
    from valle_model.decoding.filters import SamplingConfig
    from valle_model.synthesis import SynthesisRequest

    voice = Voice.load(checkpoint, device="cpu")
    phones = [voice.phones(text, "en-us") for text in ("one", "two three", "four five six seven eight nine zero")]
    requests = [
        SynthesisRequest(p, "en-us", sampling=SamplingConfig(seed=i), max_duration_s=0.4 + 0.4 * i, nar_temperature=0.5 * i) for i, p in enumerate(phones)
    ]
    together = voice.synthesizer.synthesize(requests)
    for request, result in zip(requests, together, strict=True):
        assert np.array_equal(voice.synthesizer.synthesize([request])[0].codes, result.codes)
