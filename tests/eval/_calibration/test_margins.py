import math
from collections.abc import Sequence

import pytest
import torch

from beholder.errors import DataError
from beholder.eval._calibration.margins import answered_pairs, margins
from beholder.eval.preference import score_pairs
from beholder.types import Preference, Scores


class Named:
    """Scores a picture by the number in its name; "detail" is the negative."""

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        total = torch.tensor([math.nan if name == "bad" else float(name) for name in images])
        errors = {k: "missing: gone" for k, name in enumerate(images) if name == "bad"}
        return Scores(total, {"detail": -total}, errors=errors)


def preference(prompt: str, first: str, second: str, **p: float) -> Preference:
    return Preference(key="k", prompt=prompt, first=first, second=second, p_first=p)


SAID = [
    preference("cat", "3", "1", overall=1.0),
    preference("dog", "1", "2", overall=0.5, detail=0.25),
    preference("cat", "1", "bad", overall=1.0),
    preference("dog", "5", "2", detail=1.0),
]


def test_a_margin_is_first_less_second_and_nan_without_two_scores() -> None:
    scored = score_pairs(Named(), SAID)
    assert margins(scored, "total")[[0, 1, 3]].tolist() == [2, -1, 3]
    assert margins(scored, "detail")[[0, 1, 3]].tolist() == [-2, 1, -3]
    assert math.isnan(margins(scored, "total")[2])
    with pytest.raises(DataError, match="no score 'style'"):
        margins(scored, "style")


def test_pairs_have_two_scores_and_an_answer_and_know_their_prompts() -> None:
    scored = score_pairs(Named(), SAID)
    pairs = answered_pairs(scored, "total", "overall")
    assert (pairs.margin.tolist(), pairs.p_first.tolist()) == ([2, -1], [1, 0.5])
    assert (pairs.group.tolist(), pairs.prompts, len(pairs)) == ([0, 1], 2, 2)
    other = answered_pairs(scored, "total", "detail")
    assert (other.margin.tolist(), other.prompts) == ([-1, 3], 1)
    assert other.is_right.tolist() == [1, 1]  # the second and the first, as people say
