"""One symbol, one id, for ever."""

import pytest

from valle_data.errors import InputError, ReasonCode
from valle_data.text.phonemizers import PHONEMIZERS
from valle_data.text.vocabulary import Vocabulary


def test_ids_are_positions() -> None:
    vocabulary = Vocabulary((" ", "a", "ɑ"))
    assert len(vocabulary) == 3 and vocabulary.encode("ɑ a") == [2, 0, 1] and vocabulary.encode([]) == []


def test_unknown_phone_is_an_error_that_names_it() -> None:
    with pytest.raises(InputError, match="Phone 'ʒ' is not among the 2 phones") as caught:
        Vocabulary(("a", "b")).encode(["a", "ʒ"])
    assert caught.value.reason is ReasonCode.UNKNOWN_PHONE


def test_a_symbol_twice_is_refused() -> None:
    with pytest.raises(InputError, match="occur twice: b"):
        Vocabulary(("a", "b", "c", "b"))


def test_missing_are_those_without_an_id() -> None:
    assert Vocabulary(("b", "a")).missing("zabcz") == ["c", "z"] and Vocabulary(("a",)).missing([]) == []


def test_hash_sees_order_and_content() -> None:
    assert Vocabulary(("a", "b")).hash == Vocabulary(("a", "b")).hash
    assert len({Vocabulary(symbols).hash for symbols in [(), ("a",), ("a", "b"), ("b", "a"), ("ab",)]}) == 5


@pytest.mark.parametrize("name", PHONEMIZERS)
def test_no_two_phones_of_an_engine_share_an_id(name: str) -> None:
    """The union of all engines included: one code point, one phone, one id."""
    symbols = PHONEMIZERS[name](PHONEMIZERS[name].Config()).symbols
    vocabulary = Vocabulary(symbols)
    assert len(set(vocabulary.encode(symbols))) == len(symbols) == len({symbol for symbol in symbols if len(symbol) == 1})


def test_the_union_with_letters_still_gives_each_phone_one_id() -> None:
    everything = {tag: name for tag, name in zip("abcd", ["characters", "japanese", "mandarin", "korean"], strict=True)}
    symbols = PHONEMIZERS.build(PHONEMIZERS["multilingual"].Config.model_validate({"engines": everything})).symbols
    assert len(Vocabulary(symbols)) == len(set(symbols))
