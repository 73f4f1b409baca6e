"""`valle metadata vocab`: the phones of a data set against a vocabulary it is to be used with."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import json
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.console import Console
from pipelines.metadata_tables.rows import count_phones, read_rows
from valle_data import files
from valle_data.errors import ExitCode, InputError, ReasonCode, UsageError
from valle_data.shards.commit import committed_parts, read_part_index
from valle_data.shards.manifest import NAME, DatasetManifest
from valle_data.text.vocabulary import Vocabulary

EXAMPLES = 3


@dataclass(frozen=True)
class MissingPhone:
    """A phone of the data that the vocabulary lacks. `examples` are the first few utterances that have it, with their texts."""

    symbol: str
    count: int
    num_utterances: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Comparison:
    """`missing`, most frequent first; `unused` are symbols of the vocabulary that no chosen utterance has, in the order of ids."""

    missing: tuple[MissingPhone, ...]
    unused: tuple[str, ...]
    num_utterances: int
    num_affected: int


def run(dataset: Path, against: Path, *, console: Console, where: str | None = None) -> ExitCode:
    """Compare, print, and return exit code 1 where a phone is missing. Raises UsageError for an `against` that holds no vocabulary."""
    manifest = DatasetManifest.load(dataset)
    vocabulary = load_vocabulary(against)
    records = committed_parts(dataset)
    with console.progress(2 * len(records), "Reading", "parts read") as progress:
        chosen = read_rows(dataset, manifest, records, [], where=where, seen=lambda record, table: progress.advance())
        comparer, first = Comparer(vocabulary), 0
        for record in records:
            table = read_part_index(dataset, record)
            comparer.add(table.filter(pa.array(chosen.mask[first : first + table.num_rows])))
            first += table.num_rows
            progress.advance()
    found = comparer.result()
    _show(console, found, against, vocabulary)
    return ExitCode.RUN_FAILED if found.missing else ExitCode.DONE


def load_vocabulary(source: Path) -> Vocabulary:
    """The vocabulary of a run or checkpoint folder, a data set folder, a model.json or dataset.json, or a file with one symbol a line."""
    if source.is_dir():
        if (source / NAME).is_file():
            return DatasetManifest.load(source).vocabulary
        from valle_model.checkpoint import resolve

        return _from_json(resolve(source).folder / "model.json")
    if not source.is_file():
        raise UsageError(f"--against {source}: there is no such run, data set or file.")
    if source.suffix == ".json":
        return _from_json(source)
    try:
        text = files.read(source).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"--against {source}: a file of symbols is UTF-8 with one a line; byte {error.start} is not.") from error
    return Vocabulary(tuple(line for line in text.splitlines() if line))


def _from_json(path: Path) -> Vocabulary:
    """A list of symbols, or an object with one under `vocabulary`, as model.json and dataset.json are."""
    try:
        data = json.loads(files.read(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(ReasonCode.DATASET_MISMATCH, f"{path} is no JSON ({error}). Name a run, a data set, or a file with one symbol a line.") from error
    symbols = data.get("vocabulary") if isinstance(data, dict) else data
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        raise InputError(ReasonCode.DATASET_MISMATCH, f"{path} has no list of symbols named `vocabulary`. Name a run, a data set, or a file with one a line.")
    return Vocabulary(tuple(symbols))


class Comparer:
    """Counts phones against a vocabulary, part by part, keeping counts and a few examples."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known = pa.array(vocabulary.symbols, pa.string())
        self._counts, self._utterances = Counter[str](), Counter[str]()
        self._examples: dict[str, list[tuple[str, str]]] = {}
        self._num_rows = self._num_affected = 0

    def add(self, table: pa.Table) -> None:
        """Take the rows of `table` (columns `utt_id`, `text`, `phones`) in."""
        self._num_rows += table.num_rows
        self._counts.update(count_phones(table))
        phones = pc.list_flatten(table["phones"])
        if not self._vocabulary.missing(pc.unique(phones).to_pylist()):
            return
        strange = pc.invert(pc.is_in(phones, value_set=self._known))
        rows = pc.unique(pc.list_parent_indices(table["phones"]).filter(strange))
        for row in table.select(["utt_id", "text", "phones"]).take(rows).to_pylist():
            self._num_affected += 1
            for symbol in self._vocabulary.missing(row["phones"]):
                self._utterances[symbol] += 1
                examples = self._examples.setdefault(symbol, [])
                if len(examples) < EXAMPLES:
                    examples.append((row["utt_id"], row["text"]))

    def result(self) -> Comparison:
        missing = sorted(self._utterances, key=lambda symbol: (-self._counts[symbol], symbol))
        return Comparison(
            missing=tuple(MissingPhone(symbol, self._counts[symbol], self._utterances[symbol], tuple(self._examples[symbol])) for symbol in missing),
            unused=tuple(symbol for symbol in self._vocabulary.symbols if not self._counts[symbol]),
            num_utterances=self._num_rows,
            num_affected=self._num_affected,
        )


def _show(console: Console, found: Comparison, against: Path, vocabulary: Vocabulary) -> None:
    if found.missing:
        columns = ["phone", "letters", "count", "utterances", "examples"]
        rows = [
            (
                phone.symbol,
                _letters(phone.symbol),
                phone.count,
                phone.num_utterances,
                "; ".join(f"{name}: {' '.join(text.split())[:60]}" for name, text in phone.examples),
            )
            for phone in found.missing
        ]
        console.table(f"Phones that {against} lacks", columns, rows)
    if found.unused:
        console.table(f"Phones of {against} that nobody says here", ["phone", "letters"], [(symbol, _letters(symbol)) for symbol in found.unused])
    share = f"{found.num_affected:,} of {found.num_utterances:,} utterances"
    values = {
        "missing": [phone.symbol for phone in found.missing],
        "unused": list(found.unused),
        "num_utterances": found.num_utterances,
        "num_affected": found.num_affected,
        "vocabulary_hash": vocabulary.hash,
    }
    text = (
        f"{len(found.missing)} phones of {share} are not among the {len(vocabulary)} of {against}. Prepare with its phonemizer, or leave those utterances out."
        if found.missing
        else f"Every phone of {found.num_utterances:,} utterances is among the {len(vocabulary)} of {against}; {len(found.unused)} of those do not occur."
    )
    console.result(values, text)


def _example(utterance: str, text: str) -> str:
    return f"{utterance}: {' '.join(text.split())[:60]}"


def _letters(symbol: str) -> str:
    return " ".join(f"U+{ord(letter):04X} {unicodedata.name(letter, 'unnamed')}" for letter in symbol)
