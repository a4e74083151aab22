from beholder.eval._estimate import Estimate
from beholder.eval.feedback import FeedbackEvaluation, Unscored
from beholder.eval.preference import Evaluation
from beholder.eval.protocols import Accuracy


def evaluation(unreadable: int = 0) -> Evaluation:
    overall = Accuracy(
        accuracy=0.8125, low=0.75, high=0.875, pairs=48, prompts=12, human_ties=2, equal_scores=0,
        log_loss=0.5,
    )  # fmt: skip
    return Evaluation(
        protocol="imagereward/1",
        meaning="pairs ordered as people order them",
        aspects={"overall": overall},
        scored_by={"overall": "total"},
        level=0.95,
        draws=100,
        seed=0,
        pairs=50,
        pictures=24,
        unreadable={f"<{k}>.png": "missing: gone" for k in range(unreadable)},
        pairs_left_out=2 * unreadable,
    )


def test_accuracy_stands_with_its_interval_and_its_protocol() -> None:
    assert repr(evaluation()).splitlines() == [
        "Pair accuracy on 50 pairs, protocol imagereward/1",
        "aspect   accuracy [95%]        pairs  prompts  ties  judged by",
        "overall  0.8125 [0.75, 0.875]     48       12     2  total",
        "pairs ordered as people order them",
    ]


def test_pictures_without_a_score_are_counted_and_some_are_named() -> None:
    found = evaluation(unreadable=9)
    assert "9 pictures without a score; 18 pairs with such a picture left out" in repr(found)
    assert repr(found).count("missing: gone") == 5
    assert "&lt;0&gt;.png" in found._repr_html_()


def test_figures_of_feedback_that_have_no_value_say_why() -> None:
    known = Estimate(value=0.5, low=0.25, high=0.75, samples=9)
    figures = {"scores.overall.pearson": known}
    result = FeedbackEvaluation(
        figures=figures,
        scored_by={},
        records=10,
        unscored=[Unscored(key="k", image="a.png", why="missing: gone")],
        unanswered={"maps.misalignment": 3},
        threshold=0.5,
        draws=100,
        seed=0,
    )
    said = repr(result)
    assert "Rich feedback of 10 pictures" in said
    assert "0.5 [0.25, 0.75]" in said
    assert "none because" not in said
    assert "no maps.misalignment: 3" in said
    assert "not scored, missing: 1" in said
