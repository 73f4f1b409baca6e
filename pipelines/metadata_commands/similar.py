"""`valle metadata similar`: for every utterance those of its speaker that sound most alike, by id, so that a sampler can prompt with them."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.console import Console
from pipelines.metadata import holding
from pipelines.metadata_tables.gather import inputs_hash
from pipelines.metadata_tables.rows import Chosen, read_rows
from pipelines.metadata_tables.statistics import PERSON, with_person
from pipelines.metadata_tables.vectors import Vectors, gather_vectors
from pipelines.metadata_tables.write import FOLDER, ROW_GROUP, SIMILAR, load_hashes, sha256_of, write_table
from valle_data.errors import ExitCode
from valle_data.shards.commit import CommitRecord, committed_parts
from valle_data.shards.manifest import DatasetManifest

MADE_FROM = b"valle.made_from"
SCHEMA = pa.schema(
    [
        pa.field("utt_id", pa.string(), nullable=False),
        pa.field("similar", pa.list_(pa.string()), nullable=False),
        pa.field("score", pa.list_(pa.float16()), nullable=False),
    ]
)


def run(dataset: Path, *, console: Console, k: int = 10, side: str = "speaker", where: str | None = None, take_over: bool = False) -> ExitCode:
    """Write `metadata/similar.parquet`: `k` ids each, the most alike first, and their cosines; nothing to do where it was made from the same data.

    Raises UsageError for a filter that cannot be read; InputError `dataset_mismatch` where there are no such vectors, and what reading the parts raises.
    """
    manifest = DatasetManifest.load(dataset)
    records = committed_parts(dataset)
    path = dataset / FOLDER / SIMILAR
    with holding(dataset, console, take_over), console.progress(2 * len(records), "Reading", "parts read") as progress:
        chosen = read_rows(dataset, manifest, records, ["part", "group", "speaker"], where=where, seen=lambda record, table: progress.advance())
        made_from = _made_from(manifest, records, chosen, k=k, side=side)
        if is_current(dataset, made_from):
            console.info(f"{path} is up to date.")
            return ExitCode.DONE
        vectors = gather_vectors(dataset, records, chosen.rows, side, progress.advance)
        console.info(f"Comparing {len(vectors.rows):,} vectors within their speakers.")
        num_alone = _write(dataset, chosen.rows, vectors, k, made_from)
    values = {"file": str(path), "num_utterances": len(vectors.rows), "num_without_vector": chosen.rows.num_rows - len(vectors.rows), "num_alone": num_alone}
    text = (
        f"{path}: up to {k} similar utterances for each of {values['num_utterances']:,}; {num_alone:,} have no other of their speaker, "
        f"{values['num_without_vector']:,} have no vector."
    )
    console.result(values, text)
    return ExitCode.DONE


def _made_from(manifest: DatasetManifest, records: list[CommitRecord], chosen: Chosen, **options: str | int) -> str:
    """A hash over all that decides the result."""
    digest = hashlib.sha256(inputs_hash(manifest, records, chosen.sha256).encode())
    digest.update(json.dumps(options, sort_keys=True).encode())
    digest.update(np.packbits(chosen.mask).tobytes())
    return digest.hexdigest()


def is_current(dataset: Path, made_from: str) -> bool:
    """Whether the file is as it was written, from the same data and by the same options."""
    path = dataset / FOLDER / SIMILAR
    if not path.is_file() or load_hashes(dataset).get(SIMILAR) != sha256_of(path):
        return False
    return (pq.read_schema(path).metadata or {}).get(MADE_FROM) == made_from.encode()


def _write(dataset: Path, rows: pa.Table, vectors: Vectors, k: int, made_from: str) -> int:
    """The table in pieces of ROW_GROUP rows; returns how many utterances have no other of their speaker."""
    from valle_data.similarity import top_k_similar

    compared = rows.take(pa.array(vectors.rows))
    people = with_person(compared)[PERSON].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    found = top_k_similar(vectors.values, people, k)
    names = compared["utt_id"].combine_chunks()

    def pieces() -> Iterator[pa.Table]:
        for first in range(0, len(found.indices), ROW_GROUP):
            piece = slice(first, first + ROW_GROUP)
            yield _table(names, names.slice(first, ROW_GROUP), found.indices[piece], found.scores[piece])

    write_table(dataset, SIMILAR, SCHEMA.with_metadata({MADE_FROM: made_from.encode()}), pieces())
    return int((found.indices < 0).all(axis=1).sum())


def _table(names: pa.Array, own: pa.Array, indices: NDArray[np.integer], scores: NDArray[np.floating]) -> pa.Table:
    """Rows of `SCHEMA`; an index of -1 (fewer than k others) ends a list."""
    there = indices >= 0
    offsets = pa.array(np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32))
    similar = pa.ListArray.from_arrays(offsets, names.take(pa.array(indices[there])))
    cosines = pa.ListArray.from_arrays(offsets, pa.array(scores[there].astype(np.float16)))
    return pa.table([own, similar, cosines], names=SCHEMA.names).cast(SCHEMA)
