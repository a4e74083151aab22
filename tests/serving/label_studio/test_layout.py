import pytest

from beholder.annotation.forms import pairwise, richhf
from beholder.errors import DataError
from beholder.serving._label_studio.layout import MOST_CHARACTERS, is_empty, read_layout
from beholder.types import RATED
from tests.serving.label_studio.layouts import ONE_RATING, SMALL, pair, rich


def test_our_pairwise_form_is_known_whole() -> None:
    found = pair()
    assert (found.form, found.pictures, found.prompt) == (
        "pairwise",
        pairwise.FORM.pictures,
        "prompt",
    )
    assert found.labels == dict.fromkeys(pairwise.CONTROLS, tuple(pairwise.RANKS))
    assert found.stars == {}


def test_our_richhf_form_is_known_whole() -> None:
    found = rich()
    assert (found.form, found.pictures, found.prompt) == ("richhf", richhf.FORM.pictures, "prompt")
    assert found.labels["points"] == tuple(richhf.LABELS)
    assert found.labels["words"] == (richhf.WORD,)
    assert found.stars == dict.fromkeys(RATED, richhf.STARS)


def test_of_another_form_only_our_controls_count() -> None:
    found = read_layout(SMALL)
    assert (found.form, found.pictures, found.prompt) == (
        "pairwise",
        ("first", "second"),
        "caption",
    )
    assert found.labels == {"overall": ("left", "right")}
    assert found.offers("overall", "left")
    assert not found.offers("overall", "tie")
    assert not found.offers("aesthetics", "left")


def test_ratings_may_have_other_stars_and_no_prompt_beside() -> None:
    found = read_layout(ONE_RATING)
    assert (found.form, found.prompt, found.stars) == ("richhf", "", {"aesthetics": 10})


@pytest.mark.parametrize("most", ["", "1", "0", "-3", "5.5", "1e3", "9" * 5000, "٣"])
def test_an_odd_number_of_stars_is_the_usual_one(most: str) -> None:
    found = read_layout(ONE_RATING.replace('"10"', f'"{most}"'))
    assert found.stars == {"aesthetics": richhf.STARS}


@pytest.mark.parametrize(
    "config",
    [
        "<View/>",
        '<View><Image name="image" value="$image"/></View>',
        SMALL.replace('name="left"', 'name="first"'),
        SMALL.replace('toName="prompt"', 'toName="left"'),
        ONE_RATING.replace("$url", "https://a.example/b.png"),
        ONE_RATING.replace("<Rating", "<Number"),
    ],
)
def test_a_form_that_is_not_ours_is_told_what_is(config: str) -> None:
    with pytest.raises(DataError, match="none of our controls") as caught:
        read_layout(config)
    assert "pairwise: Image left and right with choices 'aesthetics' to 'prompt'" in str(
        caught.value
    )
    assert "rating 'overall' to 'image'" in str(caught.value)


@pytest.mark.parametrize("config", ["", "<View>", "a", "<View a=1/>", "\x00", "<a/><b/>", "\ud800"])
def test_what_is_no_xml_is_one_line(config: str) -> None:
    with pytest.raises(DataError, match="is no XML") as caught:
        read_layout(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><View>&d;</View>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><View>&b;</View>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><View/>',
    ],
)
def test_nothing_is_expanded_or_fetched(config: str) -> None:
    with pytest.raises(DataError, match="document type"):
        read_layout(config)


def test_a_deep_or_long_configuration_is_no_matter() -> None:
    deep = "<View>" * 5_000 + "</View>" * 5_000
    with pytest.raises(DataError, match="none of our controls"):
        read_layout(deep)
    with pytest.raises(DataError, match=f"at most {MOST_CHARACTERS:,} characters"):
        read_layout(" " * (MOST_CHARACTERS + 1))


def test_a_configuration_that_labels_nothing_is_empty() -> None:
    assert is_empty("<View/>")
    assert is_empty('<View><Image name="image" value="$image"/></View>')
    assert not is_empty(SMALL)
