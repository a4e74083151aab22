import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval._features import Features
from beholder.eval.extractors._kinetics import kinetics400
from beholder.eval.measures._base import Sampling, Side
from beholder.eval.measures._chosen import choose
from beholder.eval.measures.video_accuracy import Options, compute, needs
from beholder.eval.video import share_interval
from tests.eval.measures.clips import cloud, origin, side

CLASSES = tuple("abcdefgh")
(NEED,) = needs(Options())
KEYS = ["1.mp4#0", "2.mp4#0", "3.mp4#0", "4.mp4#0"]
LABELS = dict(zip(KEYS, ["A", "b", "c", "h"], strict=True))
LOGITS = np.array(
    [
        [9.0, 0, 0, 0, 0, 0, 0, 0],  # a is first
        [3.0, 1, 2, 0, 0, 0, 0, 0],  # b is third
        [0.0, 0, 1, 9, 0, 0, 0, 0],  # c is second
        [7.0, 6, 5, 4, 3, 2, 1, 0],  # h is last
    ]
)


def test_the_shares_of_hits_by_hand() -> None:
    options = Options(classes=CLASSES)
    first, fifth = compute(None, side({NEED: LOGITS}, KEYS, LABELS), options)
    assert (first.metric, first.value) == ("video_accuracy_top1", 0.25)
    assert (fifth.metric, fifth.value) == ("video_accuracy_top5", 0.75)
    assert first.samples == {"1.mp4": 1, "2.mp4": 0, "3.mp4": 0, "4.mp4": 0}
    assert fifth.samples == {"1.mp4": 1, "2.mp4": 1, "3.mp4": 1, "4.mp4": 0}
    assert first.fake == 4
    assert first.details["chance"] == 1 / 8
    assert (first.low, first.high) == share_interval(0.25, 4)


def test_only_classes_that_occur_may_count_as_answers() -> None:
    options = Options(classes=CLASSES, among="labels")
    first, fifth = compute(None, side({NEED: LOGITS}, KEYS, LABELS), options)
    assert first.value == 0.5  # d is no answer any more, so c is first
    assert first.protocol["answers"] == 4
    assert fifth.value is None
    assert fifth.why == "of 4 classes every one is among the 5 best"


def test_as_many_answers_of_other_classes_do_not_compare() -> None:
    options = Options(classes=CLASSES, among="labels")
    made = [
        compute(None, side({NEED: LOGITS}, KEYS, dict(zip(KEYS, labels, strict=True))), options)[0]
        for labels in ("abch", "hcBA", "abcd")
    ]
    assert [each.protocol["answers"] for each in made] == [4, 4, 4]
    assert made[0].protocol["classes"] == "a | b | c | h"
    made[0].minus(made[1])  # the same classes, whatever the order and the case
    with pytest.raises(DataError, match=r"classes: a \| b \| c \| h and a \| b \| c \| d"):
        made[0].minus(made[2])


def test_many_classes_are_told_apart_by_a_hash_that_no_order_changes() -> None:
    given = side({NEED: LOGITS}, KEYS, LABELS)
    first, second, third = (
        compute(None, given, Options(classes=classes))[0].protocol["classes"]
        for classes in (CLASSES, CLASSES[::-1], (*CLASSES[:6], "x", "h"))
    )
    assert first == second != third
    assert len(str(first)) == 16


def test_probabilities_of_the_clips_of_a_video_are_averaged() -> None:
    # by logits the second clip would outvote the first; as a probability each counts the same
    logits = np.array([[5.0, 0.0, 0.0, *[-9.0] * 5], [1.0, 6.0, 5.9, *[-9.0] * 5]])
    labels = {"1.mp4#0": "a", "1.mp4#1": "a"}
    given = side({NEED: logits}, ["1.mp4#0", "1.mp4#1"], labels)
    first, _ = compute(None, given, Options(classes=CLASSES))
    assert first.value == 1
    assert first.fake == 1


def test_the_classes_of_kinetics_are_known() -> None:
    names = kinetics400()
    logits = np.zeros((2, 400))
    logits[0, names.index("juggling balls")] = 1
    logits[1, names.index("archery")] = 1
    labels = {"1#0": "Juggling_Balls", "2#0": "juggling balls"}
    first, _ = compute(None, side({NEED: logits}, ["1#0", "2#0"], labels), Options())
    assert first.value == 0.5


def test_several_rows_of_a_manifest_with_one_file_stay_apart() -> None:
    keys = ["a.mp4#0", "a.mp4#2#0"]
    labels = dict.fromkeys(keys, "a")
    given = side({NEED: LOGITS[:2]}, keys, labels)
    first, _ = compute(None, given, Options(classes=CLASSES))
    assert first.samples == {"a.mp4": 1, "a.mp4#2": 1}


def test_missing_or_unknown_labels_are_named() -> None:
    options = Options(classes=CLASSES)
    with pytest.raises(DataError, match=r"1 of 4 videos .* no label, such as 4\.mp4"):
        compute(None, side({NEED: LOGITS}, KEYS, dict(list(LABELS.items())[:3])), options)
    with pytest.raises(DataError, match="'zebra'"):
        compute(None, side({NEED: LOGITS}, KEYS, LABELS | {KEYS[0]: "zebra"}), options)


def test_as_many_names_as_logits_are_needed() -> None:
    with pytest.raises(DataError, match="tells 8 classes, but 0 names are known"):
        compute(None, side({NEED: LOGITS}, KEYS, LABELS), Options())
    with pytest.raises(DataError, match="tells 8 classes, but 3 names are known"):
        compute(None, side({NEED: LOGITS}, KEYS, LABELS), Options(classes=("a", "b", "c")))


def test_rows_without_keys_have_no_labels() -> None:
    nameless = Side(name="here", features={NEED: Features(cloud(3, 8, 0), origin(NEED))})
    with pytest.raises(DataError, match="have no keys"):
        compute(None, nameless, Options(classes=CLASSES))


def test_settings_come_as_a_person_writes_them() -> None:
    options = choose(
        "video_accuracy", {"network": "resnet-50", "clips": "segments", "classes": ["a", "b"]}
    ).options
    assert options.classes == ("a", "b")
    (need,) = needs(options)
    assert need.sampling == Sampling(clips="segments")
    assert need.extractor == "resnet3d"
