"""Measure on a CUDA device: training, decoding and correctness, each beside what transformers does with an equal model in the same run.

    PYTHONPATH=. python benchmarks/gpu.py                        # `make bench-gpu`; writes docs/benchmarks/gpu.md and gpu.json
    PYTHONPATH=. python benchmarks/gpu.py --device cpu --tiny    # shows that the program runs; its figures mean nothing

Runs from the source tree. It needs torch, transformers, safetensors, numpy and pydantic, and no data: weights and speech are made up, weights at the
reference size of 218 M parameters. Each section runs in a process of its own and is stopped when its share of `--minutes` is used up; what it had
measured by then counts. Exit code 0, 1 if a section failed or the device computes something wrong, 4 without the packages or the device.
"""

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from gpu_report import COLUMNS, Findings, Notebook, text_table
from record import Table, command, commit, hardware, write_record

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("torch", "transformers", "safetensors", "numpy", "pydantic")
ENVIRONMENT_EXIT = 4
SMALLEST_SHARE_S = 5.0
ABSENT = (
    "Not measured: S7 (server), S12 (Moshi) and S13 (attention `auto`), which the tree does not have yet; S9 (flattening + compile), whose peer this program "
    "does not have yet; S4 on a CPU."
)


@dataclass(frozen=True)
class Section:
    """`function` takes a `gpu_setup.Context`; `weight` is its part of the minutes."""

    module: str
    function: str
    weight: float


SECTIONS = {
    "parity": Section("gpu_parity", "parity", 0.6),
    "training": Section("gpu_training", "training", 1.0),
    "ar": Section("gpu_decoding", "autoregressive", 1.2),
    "utterance": Section("gpu_decoding", "utterance", 1.7),
    "ar-static": Section("gpu_decoding", "autoregressive_static", 1.5),
}


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    device: str
    tiny: bool
    minutes: float
    sections: tuple[str, ...]
    out: Path


@dataclass(frozen=True)
class Ending:
    """How a section ended: `done`, or a sentence."""

    section: str
    seconds: float
    state: str
    failed: bool


def probe(device: str, path: Path) -> None:
    """In a child: whether the device is there, and what it is called."""
    import torch
    import transformers

    notebook = Notebook(path)
    if device == "cuda" and not torch.cuda.is_available():
        notebook.fact("problem", "This benchmark needs a CUDA device, and torch finds none here. To see that the program runs, add: --device cpu --tiny")
        return
    notebook.fact("device", torch.cuda.get_device_name() if device == "cuda" else "CPU")
    notebook.fact("torch", torch.__version__)
    notebook.fact("transformers", transformers.__version__)


def run_section(name: str, device: str, tiny: bool, deadline: float, path: Path) -> None:
    """In a child: one section, from its first import to its last figure."""
    import torch
    from gpu_setup import REFERENCE, TINY, Context

    section = SECTIONS[name]
    measure = getattr(importlib.import_module(section.module), section.function)
    measure(Context(torch.device(device), TINY if tiny else REFERENCE, deadline, Notebook(path)))


class Children:
    """Processes that leave nothing behind. On a CPU they are forked from one that has imported torch and transformers, which saves each the imports;
    CUDA does not survive a fork, so there each starts from nothing.
    """

    def __init__(self, device: str) -> None:
        self._processes = multiprocessing.get_context("spawn") if device == "cuda" else multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["torch", "transformers.models.llama.modeling_llama"])

    def run(self, target: Callable[..., None], arguments: tuple[object, ...], limit_s: float | None = None) -> int | None:
        """Exit code of `target(*arguments)`, or None if it was killed after `limit_s`; without a limit it may take for ever."""
        process = self._processes.Process(target=target, args=arguments)
        process.start()
        process.join(limit_s)
        if process.is_alive():
            process.kill()
            process.join()
            return None
        return process.exitcode


def measure_all(options: Options, children: Children, path: Path) -> list[Ending]:
    """Every section in turn; time that one leaves over goes to those after it."""
    end = time.monotonic() + 60 * options.minutes
    endings = []
    for place, name in enumerate(options.sections):
        begin = time.monotonic()
        weights = [SECTIONS[other].weight for other in options.sections[place:]]
        share = (end - begin) * weights[0] / sum(weights)
        if share < SMALLEST_SHARE_S:
            endings.append(Ending(name, 0.0, f"skipped: the {options.minutes:g} minutes are used up", False))
            print(f"{name}: {endings[-1].state}.", flush=True)
            continue
        print(f"{name} (up to {share:.0f} s)", flush=True)
        code = children.run(run_section, (name, options.device, options.tiny, begin + 0.9 * share, path), share)
        took = time.monotonic() - begin
        state = {0: "done", None: f"stopped after its {took:.0f} s; what it had measured is kept"}.get(
            code, f"FAILED with exit code {code}; its error is above"
        )
        endings.append(Ending(name, took, state, code not in (0, None)))
        print(f"{name}: {state} ({took:.0f} s).", flush=True)
    return endings


def write(options: Options, findings: Findings, endings: Sequence[Ending]) -> None:
    """The raw figures and the record, after the table has been printed: nothing is lost if a file cannot be written."""
    table = Table("Targets", COLUMNS, tuple(figure.cells() for figure in findings.figures))
    print("\n" + text_table(COLUMNS, table.rows) + "\n", flush=True)
    remarks = [*findings.remarks, *(f"{ending.section}: {ending.state} ({ending.seconds:.0f} s)." for ending in endings), ABSENT]
    print("\n".join(remarks), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    raw = {
        "command": command(),
        "commit": commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "scale": "tiny" if options.tiny else "reference",
        **findings.facts,
        "sections": [asdict(ending) for ending in endings],
        "figures": [{**asdict(figure), "times_better": figure.times_better, "reached": figure.reached} for figure in findings.figures],
        "remarks": findings.remarks,
    }
    (options.out / "gpu.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    size = "tiny models: the figures mean nothing" if options.tiny else "random weights, 12 layers of width 1024, 8 levels of 1024 codes"
    summary = (
        f"{findings.facts.get('device')}; {size}. Rounds are interleaved; cells are median (smallest-largest) over up to 7 of them; raw figures: gpu.json."
    )
    versions = f"torch {findings.facts.get('torch')}, transformers {findings.facts.get('transformers')}."
    write_record(options.out / "gpu.md", "Training and decoding on a CUDA device", summary, [table], [versions, *remarks])


def missing_package() -> str | None:
    """A sentence about the first package that is not there."""
    name = next((name for name in NEEDED if importlib.util.find_spec(name) is None), None)
    return name and f"This benchmark needs the package {name!r}, which is not installed here. Install it with: pip install {name}"


def parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="models of two layers of width 32: the figures mean nothing")
    parser.add_argument("--minutes", type=float, default=8.5, help="for all sections together; starting and writing take a few seconds more")
    parser.add_argument("--sections", nargs="+", choices=tuple(SECTIONS), default=tuple(SECTIONS), metavar="NAME", help=" ".join(SECTIONS))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="folder for gpu.md and gpu.json")
    found = parser.parse_args(arguments)
    return Options(found.device, found.tiny, found.minutes, tuple(found.sections), found.out)


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    options = parse(arguments)
    if sentence := missing_package():
        print(sentence, file=sys.stderr)
        return ENVIRONMENT_EXIT
    with tempfile.TemporaryDirectory() as folder:
        notebook, children = Notebook(Path(folder) / "findings.jsonl"), Children(options.device)
        code = children.run(probe, (options.device, notebook.path))
        facts = notebook.read().facts
        if code != 0 or "problem" in facts:
            print(facts.get("problem", f"Looking for the device ended with exit code {code}; the error is above."), file=sys.stderr)
            return ENVIRONMENT_EXIT
        endings = measure_all(options, children, notebook.path)
        findings = notebook.read()
    write(options, findings, endings)
    wrong = [figure for figure in findings.figures if figure.essential and figure.reached is False]
    for figure in wrong:
        print(f"WRONG on this device: {figure.what}: {figure.cells()[2]}, allowed {figure.goal}.", file=sys.stderr)
    return 1 if wrong or any(ending.failed for ending in endings) else 0


if __name__ == "__main__":
    sys.exit(main())
