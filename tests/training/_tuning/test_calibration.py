import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from beholder.errors import DataError
from beholder.training._tuning.calibration import calibrated, fit_temperature, pair_margins
from beholder.training._tuning.signal import Signal
from beholder.types import Preference
from tests.training import toy
from tests.training.pictures_on_disk import plain


@pytest.mark.parametrize("temperature", [1e-6, 0.03, 1.0, 20.0, 1e5])
def test_the_temperature_of_exact_probabilities_is_found_to_the_last_digits(
    temperature: float,
) -> None:
    margins = temperature * torch.linspace(-3, 4, 50, dtype=torch.float64)
    p = (margins / temperature).sigmoid()
    assert fit_temperature(margins, p) == pytest.approx(temperature, rel=1e-9)


def test_the_temperature_of_20_000_answers_is_near_the_one_they_were_drawn_with() -> None:
    generator = torch.Generator().manual_seed(1)
    margins = 5 * torch.randn(20_000, generator=generator)
    answers = torch.bernoulli((margins / 2.5).sigmoid(), generator=generator)
    assert fit_temperature(margins, answers) == pytest.approx(2.5, rel=0.03)


def test_a_reward_that_is_right_in_three_of_four_equal_margins() -> None:
    margins, answers = torch.tensor([2.0, 2.0, -2.0, 2.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert fit_temperature(margins, answers) == pytest.approx(2 / math.log(3))


def test_which_picture_came_first_does_not_matter() -> None:
    margins, p = torch.randn(40), torch.rand(40)
    p = (p + margins.sigmoid()) / 2
    swap = torch.where(torch.arange(40) % 2 == 0, 1.0, -1.0)
    swapped = torch.where(swap > 0, p, 1 - p)
    assert fit_temperature(swap * margins, swapped) == pytest.approx(fit_temperature(margins, p))


@pytest.mark.parametrize(
    ("margins", "answers", "why"),
    [
        ([1.0, 1.0], [1.0, 0.0], "no more than chance"),
        ([1.0, 2.0], [0.0, 0.2], "no more than chance"),
        ([0.0, 0.0], [1.0, 1.0], "no more than chance"),
        ([], [], "no more than chance"),
        ([1.0, -2.0], [1.0, 0.0], "agrees with people on each of these 2 pairs"),
    ],
)
def test_where_no_temperature_is_the_likeliest_the_error_says_why(
    margins: Sequence[float], answers: Sequence[float], why: str
) -> None:
    with pytest.raises(DataError, match=why):
        fit_temperature(torch.tensor(margins), torch.tensor(answers))


def judged(folder: Path) -> list[Preference]:
    """Four pairs with a margin of redness of 0.2; people agree with three."""
    red, grey = plain(folder, (153, 51, 102)), plain(folder)
    pairs = [(red, grey, 1.0), (red, grey, 1.0), (grey, red, 0.0), (grey, red, 1.0)]
    return [
        Preference(key=str(k), prompt="cat", first=a, second=b, p_first={"overall": p, "detail": 0})
        for k, (a, b, p) in enumerate(pairs)
    ]


def test_a_margin_is_the_first_picture_s_score_less_the_second_s(tmp_path: Path) -> None:
    rows = judged(tmp_path)
    missing = Preference(
        key="4", prompt="cat", first=rows[0].first, second="none.png", p_first={"overall": 1.0}
    )
    margins = pair_margins(Signal(toy.Redness()), [*rows, missing])
    redness = 0.5 * (153 - 102) / 255
    assert margins[:4].tolist() == pytest.approx([redness, redness, -redness, -redness])
    assert margins[4].isnan()
    assert pair_margins(Signal(toy.Redness()), []).tolist() == []


def test_a_reward_is_calibrated_on_the_aspect_asked_and_on_pictures_that_can_be_read(
    tmp_path: Path,
) -> None:
    rows = judged(tmp_path)
    missing = Preference(
        key="4", prompt="cat", first="none.png", second=rows[0].first, p_first={"overall": 1.0}
    )
    other = Preference(
        key="5", prompt="cat", first=rows[0].second, second=rows[0].first, p_first={"other": 1.0}
    )
    found = calibrated(Signal(toy.Redness()), [*rows, missing, other], "overall")
    assert found == pytest.approx(0.1 / math.log(3), rel=1e-5)
