"""The codec that belongs to codes which exist already: those of a data set or of a model."""

from collections.abc import Mapping
from typing import Any

from valle_data.codecs import CODECS
from valle_data.codecs.base import Codec
from valle_data.config import EntryConfig
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodecSpec


def open_codec(spec: CodecSpec, options: Mapping[str, Any], *, instead: EntryConfig | None = None) -> Codec:
    """The codec whose codes are `spec`'s; `options` are its configuration as stored beside them, by `name`.

    `instead` names another entry for the same codes, as `vocos` decodes those of `encodec`. The device of the stored configuration is that of the
    preparation and says nothing about this machine: the codec runs on the CPU, unless `instead` says otherwise. Raises InputError `dataset_mismatch`
    where the codec found here writes other codes.
    """
    config = instead or CODECS[options["name"]].Config.model_validate({**options, **({"device": "cpu"} if "device" in options else {})})
    codec: Codec = CODECS.build(config)
    if codec.spec != spec:
        raise InputError(
            ReasonCode.DATASET_MISMATCH, f"The codes were written by {spec}; the codec {config.name!r} here is {codec.spec}. Use that codec and its weights."
        )
    return codec
