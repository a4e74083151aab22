import pytest
from transformers import CLIPTextConfig, SiglipVisionConfig

from beholder.errors import ConfigError
from beholder.rewards._towers._configs import checked_config


def test_sizes_that_the_model_knows_pass() -> None:
    assert checked_config(CLIPTextConfig, {"hidden_size": 32}, "text") == {"hidden_size": 32}


def test_a_misspelt_size_is_named() -> None:
    with pytest.raises(ConfigError, match="vision has no option 'hiden_size'; it knows"):
        checked_config(SiglipVisionConfig, {"hiden_size": 7}, "vision")


def test_a_size_of_the_wrong_kind_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"text cannot be .*many") as caught:
        checked_config(CLIPTextConfig, {"hidden_size": "many"}, "text")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
