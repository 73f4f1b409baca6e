"""`valle doctor`: what this machine and installation offer, what is missing, and how to get it."""

import importlib.metadata
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.console import Console
from pipelines.executors import EXECUTORS
from pipelines.machine import usable_cores
from valle_data.codecs import CODECS
from valle_data.errors import EnvironmentProblem, ExitCode
from valle_data.quality_models import QUALITY_MODELS
from valle_data.recognisers import RECOGNISERS
from valle_data.registry import Table
from valle_data.segmenters import SEGMENTERS
from valle_data.shards import SHARDS
from valle_data.speaker_encoders import SPEAKER_ENCODERS
from valle_data.stages import STAGES
from valle_data.text.engines import installed_engines

PYTHON_VERSIONS = ((3, 11), (3, 12))
MEMORY_WANTED_GB = 4
DISK_WANTED_GB = 2
TABLES = (CODECS, SHARDS, SEGMENTERS, RECOGNISERS, SPEAKER_ENCODERS, QUALITY_MODELS, STAGES, EXECUTORS)
REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Check:
    """One thing looked at. `ok` None: nothing to judge; `remedy` says what to do when it is not ok."""

    name: str
    value: str
    ok: bool | None = None
    required: bool = False
    remedy: str = ""


def run(console: Console) -> ExitCode:
    """Print all checks; ENVIRONMENT when something required is missing."""
    checks = list(all_checks())
    missing = [check for check in checks if check.required and check.ok is False]
    if console.as_json:
        console.result({"ok": not missing, "checks": [asdict(check) for check in checks]}, "")
    else:
        console.table("valle doctor", ("what", "found", "state", "what to do"), [(check.name, check.value, _state(check), _remedy(check)) for check in checks])
        console.info(
            f"{len(missing)} required things are missing: {', '.join(check.name for check in missing)}." if missing else "Everything required is here."
        )
    return ExitCode.ENVIRONMENT if missing else ExitCode.DONE


def _state(check: Check) -> str:
    return "" if check.ok is None else "ok" if check.ok else "MISSING" if check.required else "not here"


def _remedy(check: Check) -> str:
    return check.remedy if check.ok is False else ""


def all_checks() -> Iterator[Check]:
    """Everything that is looked at, one after the other; nothing here raises for what is missing."""
    python = sys.version_info[:2]
    yield Check("python", sys.version.split()[0], python in PYTHON_VERSIONS, required=True, remedy="Use Python 3.11 or 3.12.")
    yield from packages()
    yield from devices()
    yield from phonemizers()
    for table in TABLES:
        yield from entries(table)
    yield audio_formats()
    yield from machine()


def packages() -> Iterator[Check]:
    """The distribution itself and every package it requires without extras."""
    try:
        yield Check("valle", importlib.metadata.version("valle"), True, required=True)
    except importlib.metadata.PackageNotFoundError:
        yield Check("valle", "not installed", False, required=True, remedy="Install the checkout: pip install -e .")
        return
    for requirement in importlib.metadata.requires("valle") or ():
        if "extra ==" not in requirement:
            yield package(requirement)


def package(requirement: str) -> Check:
    """The installed version of one requirement."""
    found = REQUIREMENT_NAME.match(requirement)
    name = found.group() if found else requirement
    try:
        return Check(name, importlib.metadata.version(name), True, required=True)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "not installed", False, required=True, remedy=f"pip install '{requirement}'")


def devices() -> Iterator[Check]:
    """What torch computes on; a CPU is enough."""
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Check("devices", str(error), False, required=True, remedy="Install torch again: its libraries do not load.")
        return
    yield Check("cpu", f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}", True)
    if not torch.cuda.is_available():
        yield Check("cuda", "no usable device", False, remedy="Not needed; training large models wants one.")
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        yield Check(f"cuda:{index}", f"{device.name}, {device.total_memory / 2**30:.0f} GiB", True)


def phonemizers() -> Iterator[Check]:
    """Every phonemizer, its version and what it speaks; espeak is the one a plain installation has."""
    for engine in installed_engines():
        found = "cannot be used" if engine.problem else f"{engine.version}, {engine.speaks}"
        yield Check(f"phonemizer {engine.name}", found, not engine.problem, required=engine.name == "espeak", remedy=engine.problem)


def entries(table: Table) -> Iterator[Check]:
    """What of a table can be used here; only the embedded codec is required."""
    for name in table:
        required = (table.kind, name) == ("codec", "mini")
        try:
            table[name]
        except (EnvironmentProblem, ImportError, OSError) as error:
            yield Check(f"{table.kind} {name}", "cannot be used", False, required=required, remedy=str(error))
        else:
            yield Check(f"{table.kind} {name}", "can be used", True, required=required)


def audio_formats() -> Check:
    """What libsndfile reads of the formats a corpus may hold."""
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return Check("audio formats", str(error), False, required=True, remedy="pip install --force-reinstall soundfile")
    readable = [name for name in ("WAV", "FLAC", "OGG", "MP3") if name in soundfile.available_formats()]
    remedy = "This libsndfile is too old to read MP3; the soundfile wheels bring a newer one."
    return Check("audio formats", f"{', '.join(readable)} (libsndfile {soundfile.__libsndfile_version__})", len(readable) == 4, required=True, remedy=remedy)


def machine() -> Iterator[Check]:
    """Cores, memory and free disk."""
    yield Check("cores", str(usable_cores()))
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield Check("memory", f"{memory_gb:.1f} GB", memory_gb >= MEMORY_WANTED_GB, remedy=f"Training wants at least {MEMORY_WANTED_GB} GB.")
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    yield Check("free disk", f"{free_gb:.1f} GB in {Path.cwd()}", free_gb >= DISK_WANTED_GB, remedy="Free some space, or work in another folder.")
