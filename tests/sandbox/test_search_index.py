"""The index of a search: dates in order, and contacts of the same second in the order of their ids."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sandbox import search_index
from exporter.sandbox.search_index import DateIndex


def ids_of(references: Sequence[int]) -> list[str]:
    """Return ids whose order is not that of the references."""
    return [f"{reference * 7 % 1_009:04}" for reference in references]


@given(st.lists(st.integers(0, 40) | st.integers(-(10**9), 10**9), max_size=200))
def test_index_sorted_in_parts_is_the_same_as_sorted_at_once(stamps: list[int]) -> None:
    """Whatever the size of the parts: here some have many equal dates, and some have none."""
    references = range(1_000, 1_000 + len(stamps))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_index, "_RUN", 7)
        patch.setattr(search_index, "_SAMPLED", 3)
        index = DateIndex(stamps, references, ids_of)
    expected = sorted(zip(stamps, ids_of(references), references, strict=True))
    assert [index.stamp(position) for position in range(len(index))] == [stamp for stamp, _, _ in expected]
    assert index.references(range(len(index))) == [reference for _, _, reference in expected]
    assert [index.find(stamp, reference) for stamp, _, reference in expected] == list(range(len(index)))


def test_index_finds_no_contact_with_another_date() -> None:
    """Neither before, nor between, nor after the others; removing it does nothing."""
    index = DateIndex([10, 20, 20], [1, 2, 3], ids_of)
    for stamp, reference in ((5, 1), (20, 1), (20, 4), (30, 3)):
        assert index.find(stamp, reference) is None
        index.remove(stamp, reference)
    assert len(index) == 3
