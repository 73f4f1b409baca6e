"""One symbol, one id, for ever."""

from pathlib import Path

import pytest

from valle_data.errors import InputError, ReasonCode
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


def test_extending_appends_and_moves_nothing() -> None:
    before = Vocabulary(("b", "a"))
    after = before.extended(["z", "a", "c", "z"])
    assert after.symbols == ("b", "a", "c", "z") and before.missing("abz") == ["z"]
    assert all(after.ids[symbol] == before.ids[symbol] for symbol in before.symbols)
    assert before.extended([]) == before


def test_hash_sees_order_and_content() -> None:
    assert Vocabulary(("a", "b")).hash == Vocabulary(("a", "b")).hash
    assert len({Vocabulary(symbols).hash for symbols in [(), ("a",), ("a", "b"), ("b", "a"), ("ab",)]}) == 5


def test_saved_and_loaded(tmp_path: Path) -> None:
    vocabulary = Vocabulary((" ", "ˈ", "\u0303", '"'))
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary
