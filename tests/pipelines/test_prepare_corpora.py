"""`valle prepare` on every corpus of the table, on replicas of their true layouts: recordings in archives and Arrow files as well as in files."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from tests.corpus_replicas import REPLICAS
from tests.prepare_dummies import config, result, run
from valle_data.corpora import CORPORA
from valle_data.errors import ExitCode


def test_all_corpora_in_one_data_set(tmp_path: Path) -> None:
    """Each under its label with its licence; what has no text is in quarantine; the same command again finds nothing to do."""
    chosen, said = [], Counter[str]()
    for kind in CORPORA:
        (tmp_path / kind).mkdir()
        expected = REPLICAS[kind](tmp_path / kind)
        # The replica of Common Voice says in Chinese what is German.
        given = {"name": kind, "label": f"my-{kind}", "root": tmp_path / kind, "licence": f"of {kind}", "language": "de", **expected.config}
        chosen.append(CORPORA[kind].Config.model_validate(given))
        said += Counter({f"my-{kind}": sum(bool(text) for _, _, _, text in expected.said)})
    settings = config(tmp_path, corpus=None, corpora=chosen, duplicate_audio="keep", max_quarantine_fraction=1.0)
    code, words = run(settings, tmp_path / "out")
    assert code is ExitCode.DONE, words
    rows = [row for path in sorted((tmp_path / "out/shards").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert Counter(row["corpus"] for row in rows) == said
    assert {row["corpus"]: row["licence"] for row in rows} == {f"my-{kind}": f"of {kind}" for kind in CORPORA if said[f"my-{kind}"]}
    refused = Counter(row["reason"] for path in (tmp_path / "out/quarantine").glob("*.parquet") for row in pq.read_table(path).to_pylist())
    assert set(refused) == {"missing_text", "text_unspeakable"}
    before = result(tmp_path / "out")
    assert run(settings, tmp_path / "out")[0] is ExitCode.DONE and result(tmp_path / "out") == before
