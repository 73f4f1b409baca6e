"""Corpora: recordings and texts as they lie on a disk -> utterances.

None of them needs a package beside the core: lhotse's manifests and Hugging Face's Arrow and Parquet files are read as the files they are.
"""

from valle_data.registry import Table

CORPORA = Table(
    "corpus",
    {
        "folder": "valle_data.corpora.folder:FolderCorpus",
        "manifest": "valle_data.corpora.manifest:ManifestCorpus",
        "ljspeech": "valle_data.corpora.ljspeech:LJSpeechCorpus",
        "vctk": "valle_data.corpora.vctk:VCTKCorpus",
        "libritts": "valle_data.corpora.libritts:LibriTTSCorpus",
        "librilight": "valle_data.corpora.librilight:LibriLightCorpus",
        "mls": "valle_data.corpora.mls:MLSCorpus",
        "commonvoice": "valle_data.corpora.commonvoice:CommonVoiceCorpus",
        "emilia": "valle_data.corpora.emilia:EmiliaCorpus",
        "gigaspeech": "valle_data.corpora.gigaspeech:GigaSpeechCorpus",
        "lhotse": "valle_data.corpora.lhotse:LhotseCorpus",
        "huggingface": "valle_data.corpora.huggingface:HuggingFaceCorpus",
    },
)
