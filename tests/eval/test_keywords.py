"""Word measures by hand, by the published rule, and against a reference library."""

import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval.keywords import (
    KeywordMeasures,
    average_precision,
    calibration_error,
    marked_words,
)
from beholder.types import WordLabel

PUBLISHED_TEXTS = [
    ("a yellow_0 cat", "a yellow cat"),
    ("a yellow cat", "a yellow_0 cat"),
    ("a_0 yellow_0 cat", "a yellow_0 cat_0"),
    ("a cat", "a yellow_0 cat"),
    ("one two_0 three four_0", "one two_0 three four_0"),
    ("x y z w v", "x y_0 z"),
    ("red_0", "blue_0"),
]


def gathered(texts: list[tuple[str, str]]) -> KeywordMeasures:
    measures = KeywordMeasures()
    for predicted, target in texts:
        measures.add(marked_words(predicted), marked_words(target))
    return measures


def classes(predicted: str, target: str) -> tuple[list[int], list[int]]:
    """Predicted and true class of each true word by the published rule; -1 for another word."""
    guesses, truths = marked_words(predicted), marked_words(target)
    guesses += [("", False)] * len(truths)
    pairs = list(zip(truths, guesses, strict=False))
    given = [int(guess[1]) if guess[0] == truth[0] else -1 for truth, guess in pairs]
    return given, [int(missed) for _, missed in truths]


def test_published_texts_become_marked_words() -> None:
    assert marked_words("a yellow_0  cat") == [("a", False), ("yellow", True), ("cat", False)]


def test_the_published_rule_is_the_mean_of_reports_of_each_sample() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    reports = []
    for predicted, target in PUBLISHED_TEXTS:
        given, truth = classes(predicted, target)
        reports.append(
            metrics.precision_recall_fscore_support(truth, given, labels=[1], zero_division=0)[:3]
        )
    expected = np.array(reports)[:, :, 0].mean(0)
    found = gathered(PUBLISHED_TEXTS).estimates(draws=20)
    measured = [found[f"published.{name}"].value for name in ("precision", "recall", "f1")]
    assert measured == pytest.approx(expected.tolist())
    # by hand: only the third (1 of 2, 1 of 2) and the fifth (2 of 2) have a hit
    assert expected.tolist() == pytest.approx([1.5 / 7] * 3)


def test_the_micro_rule_adds_over_all_words_first() -> None:
    found = gathered(PUBLISHED_TEXTS).estimates(draws=200)
    # marked and in place: 1 + 2 + 2; misaligned: 1 + 2 + 1 + 2 + 1 + 1; hits: 1 + 2
    assert found["micro.precision"].value == pytest.approx(3 / 5)
    assert found["micro.recall"].value == pytest.approx(3 / 8)
    f1 = found["micro.f1"]
    assert f1.value == pytest.approx(6 / 13)
    assert f1.low is not None
    assert f1.high is not None
    assert f1.low < 6 / 13 < f1.high


def test_texts_have_no_probabilities_to_measure() -> None:
    found = gathered(PUBLISHED_TEXTS).estimates(draws=5)["average_precision"]
    assert (found.value, found.why) == (None, "the words have no probabilities")


def test_nothing_marked_anywhere_is_zero_when_published_and_undefined_when_micro() -> None:
    found = gathered([("a cat", "a cat")]).estimates(draws=5)
    assert found["published.f1"].value == 0
    assert found["micro.f1"].value is None
    assert found["micro.f1"].why == "no word is misaligned or predicted to be"


def test_probabilities_above_the_threshold_are_marked() -> None:
    measures = KeywordMeasures(threshold=0.3)
    measures.add_probabilities([0.3, 0.4, 0.9], [True, False, True])
    measures.add_probabilities([0.1], [False])
    found = measures.estimates(draws=5)
    assert found["micro.precision"].value == pytest.approx(1 / 2)
    assert found["micro.recall"].value == pytest.approx(1 / 2)
    assert found["published.f1"].value == pytest.approx(1 / 4)
    assert found["average_precision"].samples == 4


def label(word: str, start: int, p: float) -> WordLabel:
    return WordLabel(word, start, start + len(word), p)


def test_labelled_words_meet_by_their_places() -> None:
    """A word that the reward cuts in two takes the higher half; one it lacks is not marked."""
    target = [label("redcat", 0, 1.0), label("on", 7, 0.5), label("mat", 10, 0.67)]
    predicted = [label("red", 0, 0.2), label("cat", 3, 0.8), label("on", 7, 0.9)]
    measures = KeywordMeasures()
    assert measures.add_labels(predicted, target) == 1
    found = measures.estimates(draws=5)
    assert found["micro.precision"].value == pytest.approx(1 / 2)
    assert found["micro.recall"].value == pytest.approx(1 / 2)


def test_average_precision_is_that_of_scikit_learn_with_ties() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    truth = generator.random(300) < 0.2
    p = np.clip(truth * 0.2 + generator.random(300), 0, 1).round(1)
    assert average_precision(p, truth) == pytest.approx(metrics.average_precision_score(truth, p))


def test_average_precision_by_hand() -> None:
    p, truth = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    assert average_precision(p, truth) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)


def test_calibration_error_by_hand() -> None:
    """Four words at 0.5, one of them misaligned, are 0.25 off; one at 1 that is so is not off."""
    p = np.array([0.5, 0.5, 0.5, 0.5, 1.0])
    truth = np.array([True, False, False, False, True])
    assert calibration_error(p, truth) == pytest.approx(4 / 5 * 0.25)


def test_no_misaligned_word_leaves_no_average_precision() -> None:
    measures = KeywordMeasures()
    measures.add_probabilities([0.2], [False])
    found = measures.estimates(draws=5)
    assert (found["average_precision"].value, found["average_precision"].samples) == (None, 1)
    assert found["calibration_error"].value == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("p", "fault"),
    [([0.1, 0.2], "2 probabilities for 1 words"), ([1.5], r"1.5 of a word is not in \[0, 1\]")],
)
def test_probabilities_that_do_not_fit_are_refused(p: list[float], fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        KeywordMeasures().add_probabilities(p, [True])


def test_no_draw_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 or more draws"):
        gathered(PUBLISHED_TEXTS).estimates(draws=0)
