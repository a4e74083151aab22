import torch

from beholder.eval._report.layers import box_of, layers_of
from beholder.eval._report.sources import Drawings
from beholder.eval.report import ExplainedPicture, PictureFeedback, Report
from beholder.types import Explanation

WIDE = torch.zeros(3, 10, 20, dtype=torch.uint8)


def test_the_square_that_a_reward_saw_lies_where_the_fit_put_it() -> None:
    assert box_of(20, 10, "squash") == (0, 0, 100, 100)
    assert box_of(20, 10, "crop") == (25, 0, 50, 100)
    assert box_of(20, 10, "pad") == (0, -50, 100, 200)


def test_faults_and_attention_of_one_picture_are_its_layers() -> None:
    seen = Explanation("detail", 1.0, (), torch.ones(2, 2))
    maps = {"misalignment": torch.zeros(4, 4), "implausibility": torch.ones(4, 4)}
    report = Report(
        title="t",
        explanations=[ExplainedPicture(image=WIDE, prompt="p", explanations=[seen], fit="crop")],
        feedback=[PictureFeedback(image=WIDE, prompt="p", maps=maps)],
    )
    (layers,) = layers_of(report, Drawings()).values()
    assert [(layer.kind, layer.box) for layer in layers] == [
        ("misalignment", (0, 0, 100, 100)),
        ("implausibility", (0, 0, 100, 100)),
        ("detail", (25, 0, 50, 100)),
    ]
    assert all(layer.uri.startswith("data:image/png;base64,") for layer in layers)


def test_a_picture_that_cannot_be_read_has_no_attention() -> None:
    seen = Explanation("detail", 1.0, (), torch.ones(2, 2))
    gone = ExplainedPicture(image="/nowhere/a.png", prompt="p", explanations=[seen])
    (layers,) = layers_of(Report(title="t", explanations=[gone]), Drawings()).values()
    assert list(layers) == []
