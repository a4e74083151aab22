import pytest

from beholder.errors import ConfigError
from beholder.rewards import load
from beholder.rewards._nested import built, described, rebuilt
from beholder.rewards.tiny import Tiny
from tests.rewards.simple import Mean


def test_a_reward_is_built_from_its_name_or_options_or_taken_as_it_is() -> None:
    own = Mean()
    assert built(own, "x") is own
    assert built("tiny", "x").options() == {"seed": 0}
    assert built({"reward": "tiny", "seed": 5}, "x").options() == {"seed": 5}


@pytest.mark.parametrize("spec", ["", {}, {"seed": 3}, {"reward": 3}])
def test_a_reward_without_a_name_is_refused(spec: dict[str, object] | str) -> None:
    with pytest.raises(ConfigError, match="member 'a' needs a reward"):
        built(spec, "member 'a'")


def test_errors_of_the_reward_itself_pass() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tiny'"):
        built("tinny", "x")
    with pytest.raises(ConfigError, match="has no option 'sed'"):
        built({"reward": "tiny", "sed": 1}, "x")


def test_what_is_described_is_rebuilt() -> None:
    saved = described(load("tiny", seed=4))
    assert saved == {"reward": "tiny", "options": {"seed": 4}}
    again = rebuilt(saved, "x")
    assert isinstance(again, Tiny)
    assert again.seed == 4


def test_a_description_never_imports_code() -> None:
    assert described(Mean()) == {"reward": "tests.rewards.simple:Mean", "options": {}}
    with pytest.raises(ConfigError, match="does not choose code to import"):
        rebuilt(described(Mean()), "member 'a'")
    own = Mean()
    assert rebuilt(own, "member 'a'") is own


@pytest.mark.parametrize("saved", [None, "tiny", {"reward": "tiny"}, {"reward": "tiny", "seed": 0}])
def test_a_damaged_description_is_refused(saved: object) -> None:
    with pytest.raises(ConfigError, match="member 'a' must be a saved reward with its options"):
        rebuilt(saved, "member 'a'")
