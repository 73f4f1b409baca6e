"""A Whisper of two small layers with random weights, in the files that CTranslate2 and faster-whisper read: every step of recognition, and nobody's words."""

from pathlib import Path

import torch
from ctranslate2.converters.transformers import WhisperLoader
from faster_whisper.tokenizer import _LANGUAGE_CODES
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import WhisperConfig, WhisperForConditionalGeneration

NUM_WORDS, NUM_TIMES = 50257, 1501
MULTILINGUAL_MARK = ""
"""The last word of multilingual vocabularies, by which CTranslate2 knows them."""
WIDTH = 32
GAIN = 8.0
"""On the attention to the recording, so that two recordings do not give the same tokens."""


def special_tokens() -> list[str]:
    """In the order of the multilingual models, from id 50257 on."""
    languages = [code for code in _LANGUAGE_CODES if code != "yue"]
    tasks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    times = [f"{index * 0.02:.2f}" for index in range(NUM_TIMES)]
    return [f"<|{name}|>" for name in ("endoftext", "startoftranscript", *languages, *tasks, *times)]


def build_tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, *(f"Ġw{index}" for index in range(NUM_WORDS - len(alphabet) - 1)), MULTILINGUAL_MARK]
    tokenizer = Tokenizer(models.BPE({word: index for index, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special_tokens()])
    return tokenizer


def save_tiny_whisper(folder: Path, seed: int = 0) -> Path:
    """The folder, with model.bin, config.json, vocabulary.json and tokenizer.json in it."""
    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=WIDTH,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=WIDTH,
        decoder_ffn_dim=WIDTH,
    )
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "embed" not in name:
                weight.mul_(GAIN)
    first = tokenizer.token_to_id("<|startoftranscript|>") + 1
    model.generation_config.lang_to_id = {tokenizer.id_to_token(index): index for index in range(first, tokenizer.token_to_id("<|translate|>"))}
    loader = WhisperLoader()
    spec = loader.get_model_spec(model)
    spec.register_vocabulary([tokenizer.id_to_token(index) for index in range(tokenizer.get_vocab_size())])
    loader.set_config(spec.config, model, None)
    spec.validate()
    spec.optimize(quantization=None)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
