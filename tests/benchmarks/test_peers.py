import sys
from pathlib import Path

import pytest
import torch

from beholder.images import read_image
from benchmarks._peers_asked import AskedPeer
from benchmarks._peers_models import PEERS, by_prompt
from benchmarks._record import Missing, Row, Spread, recorded
from benchmarks.peers import CASES, agreement, main, pictures, told

# a stand-in that speaks as `_peers_child` does: the score of a picture is the length of its prompt
STAND_IN = """
import json, sys
print(json.dumps({"package": "stand-in 1.0"}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "end" in asked["prompts"]:
        sys.exit("I have no more weights")
    print(json.dumps({"seconds": 0.5, "scores": [len(p) for p in asked["prompts"]]}), flush=True)
"""


def stand_in(folder: Path) -> AskedPeer:
    return AskedPeer([sys.executable, "-c", STAND_IN], folder)


def test_a_peer_answers_question_after_question(tmp_path: Path) -> None:
    with stand_in(tmp_path) as peer:
        assert peer.package == "stand-in 1.0"
        assert peer.score([Path("a.png"), Path("b.png")], ["fox", "a boat"]) == ([3, 6], 0.5)
        assert peer.score([Path("a.png")], ["x"]) == ([1], 0.5)


def test_a_peer_that_ends_says_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="I have no more weights"), stand_in(tmp_path) as peer:
        peer.score([Path("a.png")], ["end"])


def test_every_package_has_its_reward() -> None:
    assert set(CASES) == set(PEERS)


def test_the_pictures_of_a_prompt_lie_together(tmp_path: Path) -> None:
    paths, prompts = pictures(tmp_path, prompts=2, each=3, side=24)
    assert [tuple(read_image(path).shape) for path in paths] == [(3, 24, 24)] * 6
    groups = list(by_prompt([str(path) for path in paths], prompts))
    assert [len(images) for _, images in groups] == [3, 3]
    assert groups[1][1] == [str(path) for path in paths[3:]]


def test_agreement_tells_distance_spread_and_order() -> None:
    said = agreement(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, 1.5]))
    assert said == "largest difference 0.5 of spread 1, rank correlation 1.0000"
    assert agreement(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])).endswith("-1.0000")


def test_a_row_is_told_with_its_peer_and_a_missing_one_with_its_reason() -> None:
    row = Row(
        area="scoring",
        what="HPSv2",
        against="score()",
        ratio=Spread(2.0, 1.5, 2.5),
        peer="hpsv2 1.2.0",
        agreement="equal",
    )
    assert told(row) == "HPSv2: 2.00 [1.50, 2.50] x score() (hpsv2 1.2.0), equal"
    assert told(Missing(area="scoring", what="HPSv2", reason="no peers")) == "HPSv2: no peers"


def test_a_package_that_breaks_off_takes_no_earlier_row_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Missing(area="scoring", what="HPSv2", reason="no weights")
    answers = iter([first])
    monkeypatch.setattr("benchmarks.peers.peers_python", lambda: tmp_path)
    monkeypatch.setattr("benchmarks.peers.compared", lambda *_: next(answers))
    monkeypatch.setattr(sys, "argv", ["peers", "--record", str(tmp_path / "rows.jsonl")])
    with pytest.raises(StopIteration):
        main()
    assert recorded(tmp_path / "rows.jsonl") == [first]
