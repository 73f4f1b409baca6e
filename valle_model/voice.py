"""A checkpoint ready to speak: model, codec, phonemizer, and the way from text and recordings to what they want."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from valle_data.audio import AudioLimits, read_audio
from valle_data.codecs.base import Codec
from valle_data.codecs.opened import open_codec
from valle_data.config import EntryConfig
from valle_data.errors import InputError, ReasonCode, UsageError
from valle_data.records import AudioRef
from valle_data.registry import nearest
from valle_data.text.normalize import normalize
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.phonemizers.base import WORD_BOUNDARY, Phonemizer
from valle_model.card import ModelCard
from valle_model.checkpoint import Chosen, load_weights, resolve
from valle_model.device import pick_device
from valle_model.synthesis import Synthesizer

MAX_CHARACTERS = 2000
MAX_PROMPT_S = 60.0


def load_codec(card: ModelCard, instead: EntryConfig | None = None) -> Codec:
    """The codec a model was trained on, or another that decodes its codes (`instead`); refuses one with other weights, rate or levels."""
    return open_codec(card.codec, card.codec_config, instead=instead)


def load_phonemizer(card: ModelCard) -> Phonemizer:
    """The phonemizer a model was trained with; refuses another version."""
    name = str(card.phonemizer_config["name"])
    phonemizer: Phonemizer = PHONEMIZERS.build(PHONEMIZERS[name].Config.model_validate(card.phonemizer_config))
    if phonemizer.version != card.phonemizer_version:
        raise InputError(
            ReasonCode.DATASET_MISMATCH,
            f"The model was trained with the phonemizer {card.phonemizer_version}; here is {phonemizer.version}. Install that version.",
        )
    return phonemizer


class Voice:
    """See the module."""

    def __init__(self, card: ModelCard, synthesizer: Synthesizer, phonemizer: Phonemizer, chosen: Chosen) -> None:
        self.card, self.synthesizer, self.phonemizer = card, synthesizer, phonemizer
        self.checkpoint, self.passed_over = chosen.folder, chosen.broken

    @classmethod
    def load(cls, path: Path, device: str = "auto", codec: EntryConfig | None = None) -> Self:
        """From a run folder (its newest complete checkpoint) or one checkpoint folder. `codec` decodes in place of the one the model was trained on."""
        chosen = resolve(path)
        card = ModelCard.load(chosen.folder)
        model = card.build()
        load_weights(model, chosen.folder)
        return cls(card, Synthesizer(model.to(pick_device(device)), card.layout, load_codec(card, codec)), load_phonemizer(card), chosen)

    def language(self, wanted: str | None) -> str:
        """`wanted`, if the model knows it; none means the first language of the model."""
        if wanted is None:
            return self.card.languages[0]
        if wanted not in self.card.languages:
            raise UsageError(
                f"This model was not trained on the language {wanted!r}.{nearest(wanted, self.card.languages)} It speaks: {', '.join(self.card.languages)}."
            )
        return wanted

    def phones(self, text: str, language: str) -> list[int]:
        """Phone ids of a text as prepare would give it."""
        result = self.phonemizer.phonemize([normalize(text, language, MAX_CHARACTERS)], language)[0]
        if isinstance(result, InputError):
            raise result
        return self.card.vocabulary.encode(result)

    @property
    def word_boundary(self) -> list[int]:
        """Ids of what stands between two words, empty where the phonemizer marks none."""
        return [self.card.vocabulary.ids[WORD_BOUNDARY]] if WORD_BOUNDARY in self.card.vocabulary.ids else []

    def encode_prompt(self, path: Path) -> NDArray[np.uint16]:
        """Codes `[Q, T]` of a recording of at most `MAX_PROMPT_S`, read the way prepare reads recordings."""
        waveform = read_audio(AudioRef(str(path)), self.card.codec.sample_rate_hz, AudioLimits(max_duration_s=MAX_PROMPT_S))
        return self.synthesizer.codec.encode([waveform])[0]
