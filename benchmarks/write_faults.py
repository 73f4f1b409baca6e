"""D2: let every call that changes a file of a data set fail once, and run the same command again.

    python benchmarks/write_faults.py -o docs/benchmarks/write_faults.md

A small library (faulty_disk.c, preloaded) counts the calls below the folder of the data set, whoever makes them: Python, SQLite or Arrow. For every
command, every call and every kind of fault, the command runs in a fork of a process that has imported everything already, the call fails, and what lies in
the folder is looked at: each file is as it was before the command or as it will be after it, and files of committed parts were not touched. Then the same
command runs undisturbed and must give what a run gives that nobody disturbed, to the byte. With `--stride 4` every call fails in one way of four.
Recordings are decoded in the process itself, as nothing is written there and starting another process for it takes longer than all the rest. Needs a C
compiler.
"""

import argparse
import ctypes
import errno
import mmap
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from record import Table, write_record  # noqa: E402

ORDERS = "FAULTY_DISK"
MAX_CALLS, MAX_NAME = 8192, 120
KILL = -1
TEMPORARY = ".tmp-"
COMMITTED = ("shards", "quarantine", "vectors")
LOCK, REUSE = "valle.lock", "plan/.tmp-reuse.sqlite"
"""Not part of the data set: who works on it, and an index that workers read; the next run removes both."""


class Orders(ctypes.Structure):
    """`struct orders` of faulty_disk.c."""

    _fields_ = [
        *((name, ctypes.c_long) for name in ("calls", "fail_at", "code", "lasting", "armed")),
        ("folder", ctypes.c_char * 1024),
        ("names", ctypes.c_char * MAX_NAME * MAX_CALLS),
    ]


@dataclass(frozen=True)
class Fault:
    """What happens to a call; `lasting`: and to all after it."""

    name: str
    code: int
    lasting: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """How the system, or SQLite, calls it."""
        return os.strerror(self.code), "database or disk is full", "disk I/O error", "unable to open database file"


FAULTS = (
    Fault("disk full", errno.ENOSPC),
    Fault("input/output error", errno.EIO),
    Fault("read-only from then on", errno.EROFS, lasting=True),
    Fault("killed", KILL),
)


@dataclass(frozen=True)
class Scenario:
    """Command lines of `valle`, in which SET and CONFIG stand for paths: some that run before, and the one that is disturbed."""

    name: str
    command: str
    before: tuple[str, ...] = ()


PREPARE, PREPARE_DONE = "prepare CONFIG -o SET --workers 0", "prepare CONFIG -o DONE --workers 0"
SCENARIOS = (
    Scenario("prepare", PREPARE),
    Scenario("prepare, going on", PREPARE, before=(f"{PREPARE} --limit 3",)),
    Scenario("prepare, HDF5", f"{PREPARE.replace('CONFIG', 'CONFIG shards=hdf5')}"),
    Scenario("prepare, reusing", f"{PREPARE} --reuse DONE", before=(PREPARE_DONE,)),
    Scenario("metadata", "metadata SET", before=(PREPARE,)),
    Scenario("metadata, anew", "metadata merge SET --seed 1 --no-report", before=(PREPARE, "metadata merge SET --no-report")),
    Scenario("metadata duplicates", "metadata duplicates SET", before=(PREPARE,)),
    Scenario("metadata compact", "metadata compact SET", before=(PREPARE,)),
    Scenario("metadata hdf5", "metadata hdf5 DONE SET", before=(PREPARE_DONE,)),
)


@dataclass
class Count:
    """What became of the faults of one kind in one scenario. `finished`: the command did its work all the same, as nobody misses what failed."""

    faults: int = 0
    stopped: int = 0
    finished: int = 0
    leftovers: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Swept:
    """A scenario, the calls it makes, and what came of their faults."""

    scenario: Scenario
    calls: Counter[str]
    counts: dict[str, Count]


class Bench:
    """A folder in which scenarios run, and what the preloaded library is told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.target, self.base = folder, folder / "set", folder / "base"
        self.said, self.modules = folder / "said.txt", folder / "modules.txt"
        with open(os.environ[ORDERS], "r+b") as file:
            self._orders = Orders.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(Orders)))
        self._orders.folder = os.fsencode(self.target)
        self.config = make_corpus(folder)

    def run(self, command: str, fault: Fault | None = None, at: int = 0) -> int:
        """The exit code of `valle` with this command line, or minus the signal that ended it; what it said is in `said`."""
        places = {"SET": str(self.target), "CONFIG": str(self.config), "DONE": str(self.folder / "done")}
        arguments = [places.get(word, word) for word in command.split()]
        self._orders.calls, self._orders.fail_at, self._orders.armed = 0, at, 1
        if fault:
            self._orders.code, self._orders.lasting = fault.code, fault.lasting
        child = os.fork()
        if not child:
            live(arguments, self.said, self.modules)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self._orders.armed = 0
        return code

    def calls(self) -> list[str]:
        """What the last run did, as `write /shards/...`."""
        if self._orders.calls > MAX_CALLS:
            raise SystemExit(f"{self._orders.calls} calls are more than faulty_disk.c counts.")
        return [os.fsdecode(self._orders.names[index].value) for index in range(self._orders.calls)]

    def reset(self) -> None:
        """Put the folder of the data set back to what it was before the command."""
        shutil.rmtree(self.target, ignore_errors=True)
        if self.base.exists():
            shutil.copytree(self.base, self.target)

    def sweep(self, scenario: Scenario, stride: int, faults: Sequence[Fault] = FAULTS) -> Swept:
        """Disturb every `stride`th call, each kind of fault beginning at another."""
        self._begin(scenario)
        before = tree(self.target)
        self._must_succeed(scenario.command)
        after, calls = tree(self.target), self.calls()
        self._import_what_it_imported()
        counts = {fault.name: Count() for fault in faults}
        for number, fault in enumerate(faults):
            for at in range(1 + number * stride // len(faults), len(calls) + 1, stride):
                self.reset()
                problems = list(self._disturb(scenario.command, fault, at, before, after, counts[fault.name]))
                if problems:
                    print(fault.name, at, problems, flush=True)
                counts[fault.name].wrong += [f"{fault.name} at call {at} ({calls[at - 1]}): {problem}" for problem in problems]
        print(f"{scenario.name}: {len(calls)} calls", flush=True)
        return Swept(scenario, Counter(call.split()[0] for call in calls), counts)

    def _begin(self, scenario: Scenario) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        shutil.rmtree(self.folder / "done", ignore_errors=True)
        self.reset()
        for command in scenario.before:
            self._must_succeed(command)
        if self.target.exists():
            self.target.rename(self.base)
        self.reset()

    def _import_what_it_imported(self) -> None:
        """So that later forks have it from the start, which is most of their time."""
        for name in self.modules.read_text(encoding="utf-8").split("\n"):
            if name != "__main__":
                with suppress(ImportError):
                    import_module(name)

    def _must_succeed(self, command: str) -> None:
        if code := self.run(command):
            raise SystemExit(f"Undisturbed, `valle {command}` ended with {code}: {self.said.read_text()}")

    def _disturb(self, command: str, fault: Fault, at: int, before: dict[str, bytes], after: dict[str, bytes], count: Count) -> Iterator[str]:
        """Everything that is wrong after one fault, and after the run that follows it."""
        committed = stamps(self.target)
        code, said = self.run(command, fault, at), ""
        said = self.said.read_text(errors="replace")
        found = tree(self.target)
        files = {name: data for name, data in found.items() if TEMPORARY not in name}
        temporary = found.keys() - files.keys()
        count.faults += 1
        count.leftovers += len(temporary)
        count.finished += code == 0
        count.stopped += code != 0
        yield from torn(files, before, after)
        if code == 0 and files != after:
            yield "it says that all is done, and it is not"
        if code not in (0, 1) and not (fault.code == KILL and code == -signal.SIGKILL):
            yield f"exit code {code}: {said}"
        if code == 1 and ("storage_failed" not in said or not any(words in said for words in fault.words)):
            yield f"the message does not say what happened: {said}"
        if "Traceback" in said:
            yield f"a traceback: {said}"
        temporary -= {REUSE}
        if temporary and not fault.lasting and fault.code != KILL and not self.calls()[at - 1].startswith("unlink"):
            yield f"left behind: {sorted(temporary)}"
        if again := self.run(command):
            yield f"the same command ends with {again}: {self.said.read_text(errors='replace')}"
        if tree(self.target) != after:
            yield "the same command gives another result"
        if any(stamps(self.target).get(name) != stamp for name, stamp in committed.items()):
            yield "a committed file was written again"


def torn(files: dict[str, bytes], before: dict[str, bytes], after: dict[str, bytes]) -> Iterator[str]:
    """Files that are neither as they were nor as they will be."""
    for name, data in files.items():
        if data not in (before.get(name), after.get(name)):
            yield f"{name} is neither what it was nor what it is to be"
    for name in before.keys() & after.keys() - files.keys():
        yield f"{name} is gone"


def live(arguments: Sequence[str], said: Path, modules: Path) -> None:
    """A fork: `valle` with these arguments, then the end, without any of the parent's cleaning up."""
    code = 70
    try:
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        from pipelines.cli import main

        code = main(list(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
        modules.write_text("\n".join(list(sys.modules)), encoding="utf-8")
    finally:
        os._exit(code)


def tree(folder: Path) -> dict[str, bytes]:
    """All files that count: no log, no lock, but all leftovers."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".log" and path.name != LOCK]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each file of a committed part."""
    parts = {path.stem for path in (folder / "shards").glob("part-*.json")}
    found = [path for name in COMMITTED for path in (folder / name).glob("part-*") if path.name.partition(".")[0] in parts]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def make_corpus(folder: Path) -> Path:
    """Two speakers, three recordings of half a second each, one of them twice; parts of a second. Returns the configuration."""
    from tests.prepare_dummies import corpus

    corpus(folder / "corpus", speakers=2, each=3)
    for suffix in (".wav", ".txt"):
        shutil.copy(folder / f"corpus/train/s0/u0{suffix}", folder / f"corpus/train/s1/twin{suffix}")
    config = folder / "config.yaml"
    lines = ("codec: toy", "phonemizer: characters", "part_duration_s: 1.0", "max_quarantine_fraction: 0.5", "fingerprint: true", "loudness: true")
    config.write_text("\n".join([f"corpus: {{name: folder, root: {folder / 'corpus'}, language: en-us}}", *lines]) + "\n", encoding="utf-8")
    return config


def import_everything() -> None:
    """What the forks need. The catalogue is told to keep next to nothing in memory, so that SQLite writes for a few rows as it does for many."""
    import pipelines.catalog as catalog
    import pipelines.metadata
    import pipelines.metadata_report.page
    import pipelines.planner as planner
    import pipelines.prepare  # noqa: F401 - imported for the forks
    import tests.toy_codec  # noqa: F401 - puts its codec into the table
    import valle_data.stages.decode as decode
    import valle_data.stages.fingerprint
    import valle_data.stages.loudness  # noqa: F401
    from valle_data.audio import probe, read_sound

    class DecoderHere:
        def __init__(self, limits):
            self.limits = limits

        def read(self, ref, _time_limit_s):
            return read_sound(ref, self.limits)

        def probe(self, ref, _time_limit_s):
            return probe(ref, self.limits)

    decode.DecoderProcess = planner.DecoderProcess = DecoderHere  # pyright: ignore[reportAttributeAccessIssue]
    catalog._PRAGMAS = tuple("cache_size = 1" if pragma.startswith("cache_size") else pragma for pragma in catalog._PRAGMAS)


def preload(folder: Path) -> dict[str, str]:
    """The environment of a process whose disk can fail."""
    library, orders = folder / "faulty_disk.so", folder / "orders"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, ROOT / "benchmarks/faulty_disk.c", "-ldl"], check=True)
    orders.write_bytes(bytes(ctypes.sizeof(Orders)))
    return {**os.environ, "LD_PRELOAD": str(library), ORDERS: str(orders), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def report(swept: Sequence[Swept], stride: int, output: Path) -> None:
    """Write the record."""
    rows = [
        (item.scenario.name, fault, *map(str, (count.faults, count.stopped, count.finished, count.leftovers, len(count.wrong))))
        for item in swept
        for fault, count in item.counts.items()
    ]
    kinds = sorted({kind for item in swept for kind in item.calls})
    calls = [(item.scenario.name, *(str(item.calls[kind]) for kind in kinds), str(item.calls.total())) for item in swept]
    counts = [count for item in swept for count in item.counts.values()]
    summary = (
        f"{sum(count.faults for count in counts):,} faults, {sum(len(count.wrong) for count in counts)} of them with a file torn, lost or changed, "
        "a traceback, a wrong exit code, or another result after the same command ran again."
    )
    columns = ("command", "fault", "faults", "stopped", "finished all the same", "temporary files until the next run", "wrong")
    tables = [Table("Faults", columns, tuple(rows)), Table("Calls that change files, each of which failed", ("command", *kinds, "all"), tuple(calls))]
    notes = [
        "A call that writes leaves half of its bytes behind.",
        f"Of each kind of fault one call in {stride} failed, beginning at different calls: with {len(FAULTS)}, every call failed once; with 1, in every way.",
    ]
    notes += [wrong for count in counts for wrong in count.wrong]
    write_record(output, "Failing writes", summary, tables, notes)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks/write_faults.md"))
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--scenario", action="append", help="by name; all of them where none is given")
    args = parser.parse_args()
    if ORDERS not in os.environ:
        with tempfile.TemporaryDirectory() as temporary:
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=preload(Path(temporary)), check=False).returncode)
    chosen = [scenario for scenario in SCENARIOS if not args.scenario or scenario.name in args.scenario]
    import_everything()
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(Path(temporary))
        swept = [bench.sweep(scenario, args.stride) for scenario in chosen]
    report(swept, args.stride, args.output)
    print(args.output.read_text(encoding="utf-8"))
    if any(count.wrong for item in swept for count in item.counts.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
