from pathlib import Path

import pytest

from beholder.errors import ConfigError, WeightsError
from beholder.rewards._options import read_options, take_options


def test_known_options_are_taken_and_unknown_ones_named() -> None:
    assert take_options({"a": 1}, {"a", "b"}, "mine") == {"a": 1}
    with pytest.raises(ConfigError, match="mine has no option 'c', 'd'; it knows a, b"):
        take_options({"d": 1, "a": 2, "c": 3}, {"a", "b"}, "mine")


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "is not JSON"), ("[]", "does not name a reward"), ('{"reward": 1}', "does not name")],
)
def test_what_is_no_config_of_a_reward_is_refused(text: str, why: str) -> None:
    with pytest.raises(WeightsError, match=why):
        read_options(text, Path("config.json"))
    assert read_options('{"reward": "mps"}', Path("config.json")) == {"reward": "mps"}
