from pathlib import Path

import pytest
import torch

from beholder.errors import DataError
from beholder.rewards.mps import MPS
from beholder.training import pictures as chunked
from beholder.training.features import PictureFeatures, TextFeatures, model_hash, weights_hash
from beholder.training.freezing import tower_weights
from beholder.training.loop import autocast
from beholder.training.pictures import read_all
from tests.training.brightness import pictures, tiny_mps


def fp32() -> torch.autocast:
    return autocast("fp32", torch.device("cpu"))


def towers(reward: MPS) -> set[str]:
    image, text = tower_weights(reward)
    return image | text


def kept(reward: MPS, folder: Path) -> PictureFeatures:
    return PictureFeatures(reward.eval(), folder, towers(reward), fp32, "fp32")


def files(folder: Path) -> list[str]:
    made = pictures(folder, prompts=1, each=5, seed=0)
    return [path for rows in made.values() for path, _ in rows]


def stored(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}


def test_states_are_computed_once_and_come_back_to_the_bit(tmp_path: Path) -> None:
    reward, paths = tiny_mps(), files(tmp_path)
    one = kept(reward, tmp_path / "kept")
    assert one.survey(paths, 0, 1) == {}
    before = stored(tmp_path / "kept")
    assert len(before) == 5
    first = one.load(paths)
    two = kept(reward, tmp_path / "kept")
    two.survey(paths[::-1], 0, 1)
    assert stored(tmp_path / "kept") == before
    second = two.load(paths)
    assert torch.equal(first.tokens, second.tokens)
    assert torch.equal(first.pooled, second.pooled)
    with torch.no_grad():
        pixels = torch.cat([reward.preprocess(picture[None]) for picture in read_all(paths)])
        expected = reward.image_backbone(pixels)
    torch.testing.assert_close(first.tokens, expected.tokens)


def test_equal_pictures_share_a_file_whatever_their_names(tmp_path: Path) -> None:
    paths = files(tmp_path)
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(paths[0]).read_bytes())
    one = kept(tiny_mps(), tmp_path / "kept")
    one.survey([*paths, str(copy)], 0, 1)
    assert len(stored(tmp_path / "kept")) == 5
    same = one.load([paths[0], str(copy)])
    assert torch.equal(same.pooled[0], same.pooled[1])


def test_what_is_made_anew_after_a_kill_has_the_same_bits(tmp_path: Path) -> None:
    reward, paths = tiny_mps(), files(tmp_path)
    one = kept(reward, tmp_path / "kept")
    one.survey(paths, 0, 1)
    before = one.load(paths)
    first, second, *_ = sorted((tmp_path / "kept").rglob("*.safetensors"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-4])
    two = kept(reward, tmp_path / "kept")
    two.survey(paths, 0, 1)
    assert torch.equal(two.load(paths).tokens, before.tokens)


def test_processes_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "CHUNK", 2)
    paths = files(tmp_path)
    one = kept(tiny_mps(), tmp_path / "kept")
    one.survey(paths, 0, 2)
    assert len(stored(tmp_path / "kept")) == 3  # chunks 0 and 2 of 2, 2 and 1 pictures
    with pytest.raises(DataError, match="kept features are gone"):
        one.load(paths)
    one.survey(paths, 1, 2)
    assert len(one.load(paths)) == 5


def test_pictures_that_cannot_be_read_are_told_and_the_others_kept(tmp_path: Path) -> None:
    paths = files(tmp_path)
    Path(paths[1]).write_bytes(Path(paths[1]).read_bytes()[:90])
    missing = str(tmp_path / "missing.png")
    one = kept(tiny_mps(), tmp_path / "kept")
    faults = one.survey([*paths, missing], 0, 1)
    assert {path: why.partition(":")[0] for path, why in faults.items()} == {
        paths[1]: "truncated",
        missing: "missing",
    }
    assert len(one.load([paths[0], paths[4]])) == 2


def test_other_weights_options_and_precision_lie_elsewhere_but_another_head_does_not() -> None:
    reward = tiny_mps()
    names = towers(reward)
    first = model_hash(reward, names, "fp32")
    assert model_hash(reward, names, "bf16") != first
    assert model_hash(tiny_mps(mask="soft"), names, "fp32") != first
    with torch.no_grad():
        next(reward.cross_model.parameters()).add_(1)
        assert model_hash(reward, names, "fp32") == first
        dict(reward.named_parameters())[min(names)].add_(1)
    assert model_hash(reward, names, "fp32") != first


def test_the_hash_of_weights_tells_names_shapes_and_values_apart() -> None:
    hashes = [
        weights_hash({"a": torch.zeros(2, 2)}),
        weights_hash({"a": torch.zeros(4)}),
        weights_hash({"b": torch.zeros(2, 2)}),
        weights_hash({"a": torch.ones(2, 2)}),
        weights_hash({"a": torch.zeros(2, 2, dtype=torch.float64)}),
    ]
    assert len(set(hashes)) == 5
    assert weights_hash({"a": torch.zeros(2, 2)}) == hashes[0]


def test_a_prompt_has_the_same_states_in_any_company(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = tiny_mps().eval()
    texts = TextFeatures(reward, fp32)
    alone = texts.of(["a cat"])
    monkeypatch.setattr(MPS, "text_backbone", None)  # it is not asked again
    assert torch.equal(texts.of(["a cat", "a cat"]).tokens[1:], alone.tokens)


def test_the_conditions_are_those_of_the_reward() -> None:
    reward = tiny_mps().eval()
    kept_conditions = TextFeatures(reward, fp32).conditions()
    assert torch.equal(kept_conditions.tokens, reward.condition_features().tokens)
    assert not kept_conditions.tokens.requires_grad
