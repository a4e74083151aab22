import pytest

from beholder.eval.extractors._kinetics import classes_of, kinetics400


def test_there_are_400_different_classes_in_alphabetical_order() -> None:
    names = kinetics400()

    assert len(set(names)) == 400
    assert list(names) == sorted(names)
    assert names[:3] == ("abseiling", "air drumming", "answering questions")
    assert names[-1] == "zumba"


def test_the_classes_are_those_of_torchvision() -> None:
    video = pytest.importorskip("torchvision.models.video", reason="torchvision is the reference")

    assert list(kinetics400()) == video.R3D_18_Weights.KINETICS400_V1.meta["categories"]


def test_classes_are_known_of_a_classifier_of_400_only() -> None:
    assert classes_of(400) == kinetics400()
    assert classes_of(174) is None
