"""The command line: what it imports, what it says when it is used wrongly, and how failures end."""

import dataclasses
import errno
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pipelines import cli, config_files
from pipelines.command import Reporting, run_command
from pipelines.console import Console
from pipelines.synth_texts import gather_texts
from valle_data.errors import EnvironmentProblem, ExitCode, InputError, ReasonCode, UsageError

METADATA = [f"metadata {name}" for name in ("merge", "check", "split", "stats", "vocab", "similar", "speakers", "duplicates", "hdf5", "compact", "sample")]
CONFIG = [f"config {name}" for name in ("ls", "cp", "show", "validate", "schema")]
COMMANDS = ["prepare", "repair", "convert", *METADATA, "train", "synth", "doctor", "explain", *CONFIG]
HEAVY = ["torch", "ray", "transformers", "pyarrow", "numpy", "soundfile"]


def loaded_after(*arguments: str) -> set[str]:
    """Modules a fresh interpreter holds after a command line, from its own account."""
    code = f"import json, sys; from pipelines.cli import main; code = main({list(arguments)}); print(json.dumps([code, sorted(sys.modules)]))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    exit_code, modules = json.loads(result.stdout.splitlines()[-1])
    assert exit_code == 0, result.stderr
    return {name for name in HEAVY if name in modules}


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["explain", "empty_audio"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments):
    assert loaded_after(*arguments) == set()


def test_listing_configurations_imports_no_torch():
    assert not loaded_after("config", "ls") & {"torch", "ray", "transformers", "pyarrow"}


def run(capsys, line: str) -> tuple[int, str, str]:
    code = cli.main(shlex.split(line))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_that_parses(capsys, command):
    code, out, _ = run(capsys, f"{command} --help")
    assert code == 0
    (example,) = re.findall(rf"Example:\n +valle {command}(.*)\n", out)
    group = typer.main.get_command(cli.app)
    words = [*command.split(), *shlex.split(example)]
    *groups, _ = command.split()
    for name in groups:
        group = group.commands[name]  # pyright: ignore[reportAttributeAccessIssue]
    leaf = group.commands[command.split()[-1]]  # pyright: ignore[reportAttributeAccessIssue]
    context = leaf.make_context("valle", words[len(command.split()) :])
    assert context.params
    for word in words:
        if word.startswith("configs/"):
            assert (config_files.folder().parent / word).is_file(), f"the example of `valle {command}` names {word}"


def test_no_command_shows_the_help_and_version_the_version(capsys):
    assert "Commands:" in run(capsys, "")[1]
    assert re.fullmatch(r"valle \d+\.\d+\.\d+\n", run(capsys, "--version")[1])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("trian", "Error: No such command 'trian'. Did you mean 'train'? See: valle --help\n"),
        ("config lss", "Error: No such command 'lss'. Did you mean 'ls'? See: valle config --help\n"),
        ("train", "Error: Missing argument 'CONFIG'. See: valle train --help\n"),
        ("synth hello", "Error: Missing option '--checkpoint' / '-c'. See: valle synth --help\n"),
        ("prepare x --worker 2", "(Possible options: --workers) See: valle prepare --help\n"),
        ("train x --optimizer.lr 1", "A change to the configuration has no dashes: optimizer.lr=VALUE. See: valle train --help\n"),
        ("synth a -c x --top-p 1.5", "Invalid value for '--top-p'"),
        ("metadata x --split-by group", "Invalid value for '--split-by'"),
        ("explain audio_empty", "Error: There is no reason code 'audio_empty'."),
        ("config schema trian", "Error: There is no kind of configuration 'trian'. Did you mean 'train'? Known: prepare, train.\n"),
        ("config show no/such", "Error: There is no configuration 'no/such'."),
        ("synth - -c x --text-file nowhere.txt", "Error: The text file nowhere.txt cannot be read: No such file or directory.\n"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(capsys, monkeypatch, line, sentence):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    code, _, err = run(capsys, line)
    assert code == 2
    assert sentence in err and err.count("\n") == 1 and "Traceback" not in err


def outcome(tmp_path: Path, action, debug: bool = False) -> tuple[int, str]:
    log = tmp_path / "run.log"
    code = run_command("test", Reporting(as_json=False, debug=debug, log_file=log), action)
    return code, log.read_text(encoding="utf-8")


def raising(error: BaseException):
    def action(console: Console) -> ExitCode:
        console.info("started")
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (UsageError("Wrong words."), 2, "Error: Wrong words."),
        (InputError(ReasonCode.NOT_AUDIO, "a.wav is a directory."), 1, "Error: not_audio: a.wav is a directory."),
        (EnvironmentProblem("No espeak."), 4, "Error: No espeak."),
        (KeyboardInterrupt(), 130, "Error: Interrupted. What was already committed is kept."),
        (OSError(errno.ENOSPC, "No space left on device", "x.tar"), 1, "Error: storage_failed: No space left on device: x.tar. Free space"),
        (PermissionError(errno.EACCES, "Permission denied", "x.tar"), 1, "Error: valle test stopped on an unexpected PermissionError: [Errno 13]"),
        (ZeroDivisionError("by zero"), 1, "Error: valle test stopped on an unexpected ZeroDivisionError: by zero. The traceback is in "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_is_one_sentence_with_its_exit_code(capsys, tmp_path, error, code, sentence):
    result, log = outcome(tmp_path, raising(error))
    captured = capsys.readouterr()
    assert result == code
    assert captured.err.startswith(sentence) and captured.err.count("\n") == 1
    assert "Traceback" not in captured.err + captured.out
    assert "started" in log and f"exit code {code}" in log and sentence.removeprefix("Error: ") in log
    assert ("Traceback" in log) == (code != 130)


def test_debug_prints_the_traceback_too(capsys, tmp_path):
    outcome(tmp_path, raising(KeyError("x")), debug=True)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_success_returns_the_exit_code_of_the_command(tmp_path):
    assert outcome(tmp_path, lambda console: ExitCode.TOO_MANY_QUARANTINED)[0] == 3


def test_off_a_terminal_long_commands_write_json_lines(capsys):
    run_command("test", Reporting(), raising(UsageError("Wrong.")))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["message"]) for line in lines] == [("info", "started"), ("error", "Wrong.")]
    assert lines[1]["exit_code"] == 2


def test_an_unwritable_log_file_is_a_usage_error(capsys, tmp_path):
    assert run_command("test", Reporting(log_file=tmp_path), lambda console: ExitCode.DONE) == 2
    assert "cannot be written: Is a directory" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_failure_to_report():
    writer = subprocess.Popen([sys.executable, "-m", "pipelines", "explain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.close()
    assert (writer.stderr.read(), writer.wait()) == ("", 1)
    writer.stderr.close()


def test_texts_come_from_arguments_files_and_standard_input(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("three\n\n  four \n", encoding="utf-8")
    assert gather_texts(["one", "-"], file, io.StringIO("two\n")) == ("one", "two", "three", "four")
    assert gather_texts(["one"], None, io.StringIO("unread")) == ("one",)
    with pytest.raises(UsageError, match="There is nothing to say"):
        gather_texts(["-", " "], None, io.StringIO("\n"))
    file.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"text_not_utf8: .*texts\.txt is not UTF-8 \(byte 0\)\. Save it as UTF-8\."):
        gather_texts([], file, io.StringIO())


SYNTH_FLAGS = {
    "--output a/b.wav": ("output", Path("a/b.wav")),
    "--prompt p.wav": ("prompt", Path("p.wav")),
    "--prompt-text 'in the prompt'": ("prompt_text", "in the prompt"),
    "--language no": ("language", "no"),
    "--temperature 0.5": ("temperature", 0.5),
    "--top-k 7": ("top_k", 7),
    "--top-p 0.8": ("top_p", 0.8),
    "--repetition-penalty 1.2": ("repetition_penalty", 1.2),
    "--repetition-window 33": ("repetition_window", 33),
    "--repetition-threshold 0.2": ("repetition_threshold", 0.2),
    "--max-duration 3.5": ("max_duration_s", 3.5),
    "--nar-temperature 0.3": ("nar_temperature", 0.3),
    "--seed 11": ("seed", 11),
    "--codec vocos": ("codec", "vocos"),
}


@pytest.fixture
def asked(monkeypatch) -> list:
    """What the commands behind the command line were asked to do."""
    from pipelines import metadata, synth, train

    calls = []
    monkeypatch.setattr(synth, "run", lambda options, console: calls.append(options) or ExitCode.DONE)
    monkeypatch.setattr(metadata, "run", lambda dataset, **options: calls.append((dataset, options)) or ExitCode.DONE)
    monkeypatch.setattr(train, "run", lambda config, **options: calls.append((config, options)) or ExitCode.DONE)
    return calls


@pytest.mark.parametrize("flag", SYNTH_FLAGS)
def test_every_flag_of_synth_arrives_and_changes_nothing_else(asked, flag):
    name, value = SYNTH_FLAGS[flag]
    cli.main(["synth", "one two", "-c", "run"])
    cli.main(["synth", "one two", "--checkpoint", "run", *shlex.split(flag)])
    plain, changed = asked
    assert getattr(changed, name) == value != getattr(plain, name)
    assert dataclasses.replace(changed, **{name: getattr(plain, name)}) == plain
    assert (plain.texts, plain.checkpoint) == (("one two",), Path("run"))


def test_every_option_of_synth_has_a_flag():
    from pipelines.synth import SynthOptions

    assert {field.name for field in dataclasses.fields(SynthOptions)} == {name for name, _ in SYNTH_FLAGS.values()} | {"texts", "checkpoint"}


def test_flags_of_metadata_arrive(asked):
    cli.main(shlex.split("metadata d --check --no-report --split-by speaker --validation-fraction 0.2 --seed 4 --take-over"))
    (dataset, options) = asked[0]
    options.pop("console")
    assert dataset == Path("d")
    assert options == {"check": True, "report": False, "split_by": "speaker", "validation_fraction": 0.2, "seed": 4, "take_over": True, "where": None}


def test_overrides_and_output_of_train_arrive(asked, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("dataset: some/data\n", encoding="utf-8")
    assert cli.main(["train", str(file), "optimizer.lr=1e-4", "seed=3"]) == 0
    assert cli.main(["train", str(file), "-o", "elsewhere"]) == 0
    (config, options), (_, elsewhere) = asked
    assert (config.optimizer.lr, config.seed, config.dataset) == (1e-4, 3, Path("some/data"))
    assert options["output"] == Path("runs/mine") and elsewhere["output"] == Path("elsewhere")
