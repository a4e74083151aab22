import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from beholder.errors import DataError
from beholder.training._tuning import pairs as pairs_module
from beholder.training._tuning.pairs import (
    JudgedPairs,
    Rule,
    decide,
    in_turn,
    prepare_pairs,
)
from beholder.training._tuning.pairs_latents import LatentStore
from beholder.training.pipeline import Driver
from beholder.types import Preference
from tests.training.pictures_on_disk import plain
from tests.training.tiny_pipelines import tiny, tiny_sampling

SAMPLING = tiny_sampling("sd")
RULE = Rule(aspect="overall", least=0.5)
CPU = torch.device("cpu")


def preference(
    key: str, p: float | None, first: str = "a.png", second: str = "b.png"
) -> Preference:
    answers = {"detail": 0.0} if p is None else {"overall": p, "detail": 0.0}
    return Preference(key=key, prompt=f"prompt {key}", first=first, second=second, p_first=answers)


def on_disk(folder: Path, shares: Sequence[float | None]) -> list[Preference]:
    """One preference a share, each with two pictures of its own."""
    return [
        preference(
            str(k),
            share,
            plain(folder, (10 * k, 0, 100), (40, 32)),
            plain(folder, (10 * k, 200, 0), (40, 32)),
        )
        for k, share in enumerate(shares)
    ]


def prepared(folder: Path, rows: Sequence[Preference], rule: Rule = RULE, **options: Any) -> Path:
    return prepare_pairs(rows, rule, Driver(tiny("sd")), SAMPLING, folder, **options)


def test_the_winner_comes_first_with_its_own_share() -> None:
    kept, _ = decide([preference("0", 0.25), preference("1", 0.75)], RULE)
    assert [(p.first, p.second, p.p_first["overall"]) for p in kept] == [
        ("b.png", "a.png", 0.75),
        ("a.png", "b.png", 0.75),
    ]


def test_ties_unsure_and_unanswered_pairs_are_left_out_with_the_reason() -> None:
    rows = [preference(str(k), p) for k, p in enumerate([0.5, 0.7, 0.2, None, 0.8, 1.0])]
    rows.append(preference("6", 1.0, second="a.png"))
    kept, dropped = decide(rows, replace(RULE, least=0.8))
    assert [p.key for p in kept] == ["2", "4", "5"]
    codes = {one.key: one.reason.partition(":")[0] for one in dropped}
    assert codes == {"0": "tie", "1": "unsure", "3": "no-answer", "6": "same-picture"}


def test_a_batch_holds_the_latents_of_its_pairs_in_their_order(tmp_path: Path) -> None:
    rows = on_disk(tmp_path / "pictures", [1.0, 0.2, 0.9])
    rule = replace(RULE, is_soft=True)
    judged = JudgedPairs(prepared(tmp_path, rows, rule), pairs=3, seed=0, device=CPU)
    (batch,) = islice(judged.batches(0, 1), 1)
    found = judged.pairs(batch)
    assert sorted(found.prompts) == ["prompt 0", "prompt 1", "prompt 2"]
    assert len(judged) == 3
    shares = {"prompt 0": 1.0, "prompt 1": 0.8, "prompt 2": 0.9}
    assert found.p.tolist() == pytest.approx([shares[prompt] for prompt in found.prompts])
    index = json.loads((tmp_path / "prepared" / "pairs.json").read_text())["pairs"]
    store = LatentStore(tmp_path / "prepared")
    for place, row in enumerate(batch.rows):
        winner, loser, _, prompt = index[row]
        assert found.prompts[place] == prompt
        assert torch.equal(found.winners[place], store.rows([winner])[0])
        assert torch.equal(found.losers[place], store.rows([loser])[0])


def test_the_loser_of_people_is_the_loser_of_the_batch(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    bright, dark = plain(folder, (255,) * 3, (32, 32)), plain(folder, (0,) * 3, (32, 32))
    judged = JudgedPairs(
        prepared(tmp_path, [preference("0", 0.0, dark, bright)]), pairs=1, seed=0, device=CPU
    )
    found = judged.pairs(next(judged.batches(0, 1)))
    rows = dict(zip(sorted([bright, dark]), (0, 1), strict=True))
    store = LatentStore(tmp_path / "prepared")
    assert torch.equal(found.winners, store.rows([rows[bright]]))
    assert torch.equal(found.losers, store.rows([rows[dark]]))
    assert found.p.tolist() == [1]  # not soft: certain


def test_batches_depend_on_their_number_and_the_seed_alone(tmp_path: Path) -> None:
    folder = prepared(tmp_path, on_disk(tmp_path / "pictures", [1.0] * 7))
    judged, other = (JudgedPairs(folder, pairs=2, seed=3, device=CPU) for _ in range(2))
    whole = list(islice(judged.batches(0, 1), 12))
    assert list(islice(other.batches(5, 3), 3)) == [whole[5], whole[8], whole[11]]
    epoch = sorted(row for batch in whole[:4] for row in batch.rows)
    assert epoch == list(range(7))


def test_pairs_with_a_broken_picture_are_dropped_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = on_disk(tmp_path / "pictures", [1.0, 1.0, 0.5, 1.0])
    Path(rows[0].first).write_bytes(b"no picture")
    judged = JudgedPairs(prepared(tmp_path, rows), pairs=8, seed=0, device=CPU)
    assert sorted(judged.pairs(next(judged.batches(0, 1))).prompts) == ["prompt 1", "prompt 3"]
    told = json.loads((tmp_path / "dropped.json").read_text())
    assert told["counts"] == {"tie": 1, "format": 1}
    assert "2 pairs cannot be used" in caplog.text


def test_pictures_of_pairs_that_are_not_learned_are_not_encoded(tmp_path: Path) -> None:
    folder = prepared(tmp_path, on_disk(tmp_path / "pictures", [0.5, 1.0, 0.5]))
    assert len(LatentStore(folder).rows(range(2))) == 2
    with pytest.raises(IndexError):
        LatentStore(folder).rows([2])


def test_the_encoder_runs_once_for_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = on_disk(tmp_path / "pictures", [1.0, 0.0])
    folder = prepared(tmp_path, rows)
    monkeypatch.delattr(pairs_module, "write_latents")
    assert prepared(tmp_path, rows) == folder


def test_preferences_that_changed_since_the_run_began_are_refused(tmp_path: Path) -> None:
    rows = on_disk(tmp_path / "pictures", [1.0, 0.0])
    prepared(tmp_path, rows)
    with pytest.raises(DataError, match="changed since"):
        prepared(tmp_path, rows[:1])
    with pytest.raises(DataError, match="changed since"):
        prepared(tmp_path, rows, replace(RULE, least=0.9))


def test_where_no_pair_is_left_the_error_counts_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no pair is left.*'tie': 2"):
        prepared(tmp_path, on_disk(tmp_path / "pictures", [0.5, 0.5]))


def test_a_reward_that_relabels_decides_in_place_of_people(tmp_path: Path) -> None:
    rows = on_disk(tmp_path / "pictures", [1.0, None, 0.5])
    answers = [0.1, 0.9, 0.55]

    def relabel(given: Sequence[Preference]) -> list[Preference]:
        return [replace(r, p_first={"overall": p}) for r, p in zip(given, answers, strict=True)]

    rule = Rule(aspect="overall", least=0.6, is_soft=True)
    folder = prepared(tmp_path, rows, rule, relabel=relabel)
    index = json.loads((folder / "pairs.json").read_text())["pairs"]
    assert [(round(p, 6), prompt) for _, _, p, prompt in index] == [
        (0.9, "prompt 0"),
        (0.9, "prompt 1"),
    ]
    assert json.loads((tmp_path / "dropped.json").read_text())["counts"] == {"unsure": 1}


def test_a_second_process_waits_for_its_turn(tmp_path: Path) -> None:
    told: list[str] = []

    def second() -> None:
        with in_turn(tmp_path):
            told.append("second")

    with in_turn(tmp_path):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.3)
        told.append("first")
    waiting.join(60)
    assert told == ["first", "second"]
