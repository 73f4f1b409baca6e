"""The one id space of a model: every id means one thing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from valle_data.errors import InputError
from valle_data.ids import IdSpace

SPACE = IdSpace(num_phones=5, languages=("en-us", "de"), tasks=("tts", "continuation"), num_levels=3, codebook_size=4)


def every_id(space: IdSpace) -> list[int]:
    ids = list(range(space.num_phones))
    ids += [space.language(name) for name in space.languages]
    ids += [space.task(name) for name in space.tasks]
    ids += [space.level(level) for level in range(space.num_levels)]
    ids += [space.marker("begin")]
    codes = np.tile(np.arange(space.codebook_size), (space.num_levels, 1))
    return ids + space.codes(codes).T.ravel().tolist()


@given(st.integers(0, 50), st.integers(0, 4), st.integers(1, 3), st.integers(1, 9), st.integers(1, 40))
def test_ids_fill_the_space_without_gap_or_overlap(phones: int, languages: int, tasks: int, levels: int, size: int) -> None:
    space = IdSpace(phones, tuple(f"l{i}" for i in range(languages)), tuple(f"t{i}" for i in range(tasks)), levels, size)
    assert every_id(space) == list(range(space.size))


def test_codes_become_bags_of_one_id_per_level() -> None:
    codes = np.array([[0, 1], [2, 3]], dtype=np.uint16)  # 2 of 3 levels, 2 frames
    bags = SPACE.codes(codes)
    assert bags.dtype == np.int64 and bags.tolist() == [[SPACE.code_offset + 0, SPACE.code_offset + 4 + 2], [SPACE.code_offset + 1, SPACE.code_offset + 4 + 3]]
    assert SPACE.codes(np.zeros((3, 0), dtype=np.uint16)).shape == (0, 3)


def test_heads_predict_codes_and_the_first_also_stop() -> None:
    assert SPACE.head_sizes == (5, 4, 4) and SPACE.stop == 4
    assert IdSpace(1, (), ("tts",), 1, 7).head_sizes == (8,)


def test_unknown_names_and_levels_are_errors() -> None:
    with pytest.raises(InputError, match=r"no language 'dee'\. Did you mean 'de'"):
        SPACE.language("dee")
    with pytest.raises(InputError, match="no task 'sst'"):
        SPACE.task("sst")
    for level in (-1, 3):
        with pytest.raises(InputError, match=f"Level {level} is not one of the 3 levels"):
            SPACE.level(level)
