"""`metadata/speaker_attribution.parquet`: who speaks, where the corpus does not say. Shards are not rewritten; what reads the index lays it over."""

# pyarrow makes its compute functions when it is imported, where pyright cannot see them.
# pyright: reportAttributeAccessIssue=false

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from valle_data import files
from valle_data.shards.index import decode_table

NAME = "speaker_attribution.parquet"
SCHEMA = pa.schema(
    [
        pa.field("utt_id", pa.string(), nullable=False),
        pa.field("speaker", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("margin", pa.float32()),
    ]
)
"""`score` is the cosine to the centre of the speaker's voice, `margin` by how much it lies above that of the nearest other speaker."""


@dataclass(frozen=True)
class Attribution:
    """Speakers by utterance; `sha256` of the file, empty where there is none."""

    table: pa.Table
    sha256: str

    def apply(self, rows: pa.Table) -> pa.Table:
        """`rows` (columns `utt_id` and `speaker`) with the attributed speakers in place of the corpus's."""
        if not self.table.num_rows or not rows.num_rows:
            return rows
        found = pc.index_in(rows["utt_id"], value_set=self.table["utt_id"].combine_chunks())
        before = rows["speaker"].cast(pa.string()).combine_chunks()
        speakers = pc.coalesce(self.table["speaker"].combine_chunks().take(found.combine_chunks()), before)
        return rows.set_column(rows.schema.get_field_index("speaker"), "speaker", speakers)


NOBODY = Attribution(SCHEMA.empty_table(), "")


def load_attribution(dataset: Path) -> Attribution:
    """The attribution of the data set in `dataset`; InputError `corrupt_shard` or `dataset_mismatch` when the file is damaged or something else."""
    path = dataset / "metadata" / NAME
    if not path.is_file():
        return NOBODY
    data = files.read(path)
    return Attribution(decode_table(data, path=path, schema=SCHEMA), hashlib.sha256(data).hexdigest())
