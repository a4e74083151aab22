"""Repeated keys are found, also when only few are held at once."""

from collections import Counter

import numpy as np
import pytest

from beholder._plan.repeats import Keys, hash_of


@pytest.mark.parametrize("in_memory", [5, 10_000])
def test_what_repeats_is_what_a_counter_says(in_memory: int) -> None:
    texts = [str(n) for n in np.random.default_rng(0).integers(300, size=200)] + ["\udcff"] * 2
    with Keys(in_memory) as keys:
        for text in texts:
            keys.add(text)
        repeated = keys.repeated()
    assert repeated == {hash_of(text) for text, times in Counter(texts).items() if times > 1}
    assert len(repeated) > 30


def test_nothing_repeats_among_no_keys() -> None:
    with Keys() as keys:
        assert keys.repeated() == set()
