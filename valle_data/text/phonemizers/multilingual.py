"""Many languages in one data set: each goes to the engine that reads it best, and all share one inventory."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from pydantic import Field

from valle_data.config import EntryConfig, from_table
from valle_data.errors import InputError, UsageError
from valle_data.registry import Table, nearest
from valle_data.text.languages import lookup
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.phonemizers.base import Phonemizer

ENGINES: Mapping[str, str] = {"ja": "japanese", "zh": "mandarin", "cmn": "mandarin", "ko": "korean", "zh-hk": "espeak", "zh-mo": "espeak", "zh-yue": "espeak"}
"""Language -> phonemizer, found by the lookup of RFC 4647: `zh-hans-cn` is `zh`, `zh-hk` is Cantonese. What is not listed goes to the default."""


class OtherPhonemizers(Table):
    """The table of phonemizers without `multilingual`: what it can be made of."""

    def __init__(self) -> None:
        super().__init__(PHONEMIZERS.kind, {})

    def __getitem__(self, name: str) -> type:
        if name not in self:
            raise UsageError(f"An engine of `multilingual` is another phonemizer, not {name!r}.{nearest(name, self)} Known: {', '.join(self)}.")
        return PHONEMIZERS[name]

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __iter__(self) -> Iterator[str]:
        return (name for name in PHONEMIZERS if name != "multilingual")

    def __len__(self) -> int:
        return len(PHONEMIZERS) - 1


OTHERS = OtherPhonemizers()


class MultilingualPhonemizer(Phonemizer):
    """Made of the other entries of the table. `symbols` are those of the default engine, then what the others add in the order of the table."""

    class Config(EntryConfig):
        """`engines` is laid over `ENGINES`: `engines: {ja: espeak, ka: {name: characters, alphabet: ...}}`."""

        name: str = "multilingual"
        default: from_table(OTHERS) = "espeak"  # pyright: ignore[reportInvalidTypeForm]
        engines: dict[str, from_table(OTHERS)] = Field(default_factory=dict)  # pyright: ignore[reportInvalidTypeForm]

    def __init__(self, config: Config) -> None:
        self.config = config
        chosen = {**ENGINES, **{tag.lower().replace("_", "-"): engine for tag, engine in config.engines.items()}}
        configs = {tag: PHONEMIZERS[engine].Config() if isinstance(engine, str) else engine for tag, engine in chosen.items()}
        distinct = sorted({_key(engine): engine for engine in [config.default, *configs.values()]}.items(), key=lambda item: _rank(item[1]))
        built: dict[str, Phonemizer] = {key: PHONEMIZERS.build(engine) for key, engine in distinct}
        self._default = built[_key(config.default)]
        self._by_tag = {tag: built[_key(engine)] for tag, engine in configs.items()}
        self._engines = list(built.values())
        self.symbols = tuple(dict.fromkeys([*self._default.symbols, *(symbol for engine in self._engines for symbol in engine.symbols)]))

    def __reduce__(self) -> tuple[type["MultilingualPhonemizer"], tuple[Config]]:
        return type(self), (self.config,)

    @cached_property
    def version(self) -> str:
        return "; ".join(engine.version for engine in self._engines)

    def engine(self, language: str) -> Phonemizer:
        """Who reads a language."""
        tag = language.strip().lower().replace("_", "-")
        return next((self._by_tag[part] for part in lookup(tag) if part in self._by_tag), self._default)

    def check_language(self, language: str) -> None:
        self.engine(language).check_language(language)

    def phonemize(self, texts: Sequence[str], language: str) -> list[tuple[str, ...] | InputError]:
        return self.engine(language).phonemize(texts, language)


def _key(config: EntryConfig) -> str:
    return config.model_dump_json()


def _rank(config: EntryConfig) -> tuple[int, str]:
    return list(PHONEMIZERS).index(config.name), _key(config)
