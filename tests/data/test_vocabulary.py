"""One symbol, one id, for ever."""

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


def test_missing_are_those_without_an_id() -> None:
    assert Vocabulary(("b", "a")).missing("zabcz") == ["c", "z"] and Vocabulary(("a",)).missing([]) == []


def test_hash_sees_order_and_content() -> None:
    assert Vocabulary(("a", "b")).hash == Vocabulary(("a", "b")).hash
    assert len({Vocabulary(symbols).hash for symbols in [(), ("a",), ("a", "b"), ("b", "a"), ("ab",)]}) == 5
