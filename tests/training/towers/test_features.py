from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from beholder.errors import ConfigError, DataError
from beholder.rewards import Reward
from beholder.rewards._towers import Features, build_towers
from beholder.rewards.mps import MPS
from beholder.rewards.pickscore import PickScore
from beholder.training.fit.loop import autocast
from beholder.training.towers import feature_parts
from beholder.training.towers import features as module
from beholder.training.towers import pictures as chunked
from beholder.training.towers.feature_parts import Stored
from beholder.training.towers.features import (
    PictureFeatures,
    TextFeatures,
    model_hash,
    text_hash,
    weights_hash,
)
from beholder.training.towers.freezing import tower_weights
from beholder.training.towers.pictures import read_all
from tests.rewards.tinies import aesthetic, pickscore
from tests.rewards.tiny_towers import CLIP, CROSS, timm_text
from tests.training.brightness import pictures, tiny_mps


def fp32() -> torch.autocast:
    return autocast("fp32", torch.device("cpu"))


def towers(reward: Reward) -> set[str]:
    image, text = tower_weights(reward)
    return image | text


def kept(reward: Any, folder: Path, dtype: Stored = "fp32") -> PictureFeatures:
    return PictureFeatures(reward.eval(), folder, towers(reward), fp32, "fp32", dtype)


def files(folder: Path) -> list[str]:
    made = pictures(folder, prompts=1, each=5, seed=0)
    return [path for rows in made.values() for path, _ in rows]


def stored(folder: Path) -> dict[str, int]:
    """The parts, and when they were written."""
    return {p.name: p.stat().st_mtime_ns for p in sorted(folder.rglob("*.safetensors"))}


def in_small_chunks(monkeypatch: pytest.MonkeyPatch, pictures: int = 2) -> None:
    """A chunk holds two pictures, and each is a part of its own."""
    monkeypatch.setattr(chunked, "CHUNK", pictures)
    monkeypatch.setattr(feature_parts, "PART_BYTES", 0)


class Counting:
    """Counts the pictures that go through a reward's tower without gradient."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type = MPS) -> None:
        self.pictures = 0
        whole = kind.image_backbone  # type: ignore[attr-defined]

        def counted(reward: MPS, pixel_values: torch.Tensor) -> Features:
            self.pictures += 0 if torch.is_grad_enabled() else len(pixel_values)
            states: Features = whole(reward, pixel_values)
            return states

        monkeypatch.setattr(kind, "image_backbone", counted)


def test_states_are_computed_once_and_come_back_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward, paths = tiny_mps(), files(tmp_path)
    count = Counting(monkeypatch)
    one = kept(reward, tmp_path / "kept")
    assert one.survey(paths, 0, 1) == {}
    assert count.pictures == 5
    before = stored(tmp_path / "kept")
    assert len(before) == 1
    first = one.load(paths)
    two = kept(reward, tmp_path / "kept")
    two.survey(paths[::-1], 0, 1)
    assert count.pictures == 5
    assert stored(tmp_path / "kept") == before
    second = two.load(paths)
    assert torch.equal(first.tokens, second.tokens)
    assert torch.equal(first.pooled, second.pooled)
    with torch.no_grad():
        pixels = torch.cat([reward.preprocess(picture[None]) for picture in read_all(paths)])
        expected = reward.image_backbone(pixels)
    torch.testing.assert_close(first.tokens, expected.tokens)


def test_equal_pictures_share_a_row_whatever_their_names(tmp_path: Path) -> None:
    paths = files(tmp_path)
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(paths[0]).read_bytes())
    one = kept(tiny_mps(), tmp_path / "kept")
    one.survey([*paths, str(copy)], 0, 1)
    (part,) = (tmp_path / "kept").rglob("*.safetensors")
    assert load_file(part)["pooled"].shape == (5, 40)
    same = one.load([paths[0], str(copy)])
    assert torch.equal(same.pooled[0], same.pooled[1])


def test_half_precision_takes_half_the_room_and_keeps_eleven_bits(tmp_path: Path) -> None:
    reward, paths = tiny_mps(), files(tmp_path)
    both = [kept(reward, tmp_path / "kept", dtype) for dtype in ("fp32", "fp16")]
    for one in both:
        one.survey(paths, 0, 1)
    exact, half = (one.load(paths) for one in both)
    assert torch.equal(half.tokens, exact.tokens.half().float())
    assert torch.equal(half.pooled, exact.pooled.half().float())
    assert not torch.equal(half.pooled, exact.pooled)
    wide, narrow = (next((tmp_path / "kept").glob(f"*-{dtype}")) for dtype in ("fp32", "fp16"))
    sizes = [sum(v.nbytes for v in load_file(next(d.glob("*"))).values()) for d in (wide, narrow)]
    assert sizes[0] == 2 * sizes[1]


def test_states_that_half_precision_cannot_hold_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward, paths = tiny_mps(), files(tmp_path)
    hashed = towers(reward)

    def large(_: object, pixel_values: torch.Tensor) -> Features:
        ones = torch.ones(len(pixel_values), 1, 1)
        return Features(70000 * ones, ones[:, 0])

    monkeypatch.setattr(MPS, "image_backbone", large)
    half = PictureFeatures(reward.eval(), tmp_path / "kept", hashed, fp32, "fp32", "fp16")
    with pytest.raises(ConfigError, match=r"reach 7e\+04, fp16 ends at .*feature_dtype to fp32"):
        half.survey(paths, 0, 1)
    wide = PictureFeatures(reward.eval(), tmp_path / "kept", hashed, fp32, "fp32", "fp32")
    wide.survey(paths, 0, 1)
    assert (wide.load(paths).tokens == 70000).all()


def test_a_picture_whose_states_are_no_numbers_is_told_and_its_neighbour_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward, paths = tiny_mps(), files(tmp_path)
    names = towers(reward)

    def broken(_: object, pixel_values: torch.Tensor) -> Features:
        pooled = torch.ones(len(pixel_values), 1)
        pooled[0] = torch.nan
        return Features(torch.zeros(len(pixel_values), 0, 1), pooled)

    monkeypatch.setattr(MPS, "image_backbone", broken)
    one = PictureFeatures(reward.eval(), tmp_path / "kept", names, fp32, "fp32")
    faults = one.survey(paths[:2], 0, 1)
    assert list(faults) == paths[:1]
    assert faults[paths[0]].startswith("non-finite:")
    assert len(one.load(paths[1:2])) == 1


def test_what_is_made_anew_after_a_kill_has_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_chunks(monkeypatch, 4)
    reward, paths = tiny_mps(), files(tmp_path)
    one = kept(reward, tmp_path / "kept")
    one.survey(paths, 0, 1)
    before = one.load(paths)
    first, second, third = sorted((tmp_path / "kept").rglob("*.safetensors"))
    first.unlink()
    third.write_bytes(third.read_bytes()[:-4])
    count = Counting(monkeypatch)
    two = kept(reward, tmp_path / "kept")
    two.survey(paths, 0, 1)
    assert count.pictures == 5  # the whole chunk of four, though two of it were there, and the last
    assert second in (tmp_path / "kept").rglob("*.safetensors")
    assert torch.equal(two.load(paths).tokens, before.tokens)


def test_a_damaged_byte_is_noticed_and_computed_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reward, paths = tiny_mps(), files(tmp_path)
    one = kept(reward, tmp_path / "kept")
    one.survey(paths, 0, 1)
    before = one.load(paths)
    (part,) = (tmp_path / "kept").rglob("*.safetensors")
    data = bytearray(part.read_bytes())
    data[-100] ^= 1
    part.write_bytes(data)
    two = kept(reward, tmp_path / "kept")
    two.survey(paths, 0, 1)
    assert "are damaged" in caplog.text
    assert not part.exists()
    assert torch.equal(two.load(paths).tokens, before.tokens)


def test_a_run_that_dies_keeps_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_chunks(monkeypatch)
    paths = files(tmp_path)
    monkeypatch.setattr(feature_parts, "PART_BYTES", 2**30)
    reward, seen = tiny_mps(), []
    whole = MPS.image_backbone

    def dying(self: MPS, pixel_values: torch.Tensor) -> Features:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return whole(self, pixel_values)

    one = kept(reward, tmp_path / "kept")
    monkeypatch.setattr(MPS, "image_backbone", dying)
    with pytest.raises(KeyboardInterrupt):
        one.survey(paths, 0, 1)
    assert len(one.load(paths[:4])) == 4
    with pytest.raises(DataError, match="kept features are gone"):
        one.load(paths)


def test_processes_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_chunks(monkeypatch)
    reward, paths = tiny_mps(), files(tmp_path)
    one = kept(reward, tmp_path / "kept")
    count = Counting(monkeypatch)
    one.survey(paths, 0, 2)
    assert count.pictures == 3  # chunks 0 and 2 of 2, 2 and 1 pictures
    with pytest.raises(DataError, match="kept features are gone"):
        one.load(paths)
    two = kept(reward, tmp_path / "kept")
    two.survey(paths, 1, 2)
    assert count.pictures == 5
    assert len(two.load(paths)) == 5


def test_runs_at_the_same_time_may_write_the_same_folder(tmp_path: Path) -> None:
    reward, paths = tiny_mps(), files(tmp_path)
    runs = [kept(reward, tmp_path / "kept") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda run: run.survey(paths, 0, 1), runs)) == [{}] * 4
    loaded = [run.load(paths).pooled for run in runs]
    assert all(torch.equal(loaded[0], other) for other in loaded[1:])


def test_pictures_that_cannot_be_read_are_told_and_the_others_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    count = Counting(monkeypatch)
    assert one.survey([*paths, missing], 0, 1) == faults
    assert count.pictures == 0  # a bad picture does not make its chunk be computed again


def test_pooled_states_alone_come_back_without_tokens(tmp_path: Path) -> None:
    reward, paths = pickscore.tiny().eval(), files(tmp_path)
    one = kept(reward, tmp_path / "kept", "fp16")
    one.survey(paths, 0, 1)
    states = one.load(paths)
    assert states.tokens.shape == (5, 0, 40)
    (part,) = (tmp_path / "kept").rglob("*.safetensors")
    assert load_file(part)["pooled"].dtype == torch.float16
    assert sum(v.nbytes for v in load_file(part).values()) == 5 * 40 * 2


def test_states_are_shared_by_all_rewards_on_the_same_towers(tmp_path: Path) -> None:
    options = {"kind": "clip", **CLIP}
    torch.manual_seed(0)
    first = MPS(build_towers(options), cross=CROSS)
    second = MPS(build_towers(options), cross=CROSS, mask="soft", conditions={"overall": "light"})
    single = PickScore(build_towers(options))
    for other in (second, single):
        other.towers.load_state_dict(first.towers.state_dict())
    hashes = [model_hash(reward, towers(reward), "fp32") for reward in (first, second, single)]
    assert hashes[0] == hashes[1]
    assert hashes[2] != hashes[0]  # whose states have no tokens


def test_other_weights_and_precision_lie_elsewhere_but_another_head_does_not() -> None:
    reward = tiny_mps()
    names = towers(reward)
    first = model_hash(reward, names, "fp32")
    assert model_hash(reward, names, "bf16") != first
    with torch.no_grad():
        next(reward.cross_model.parameters()).add_(1)
        assert model_hash(reward, names, "fp32") == first
        image, text = tower_weights(reward)
        dict(reward.named_parameters())[min(text)].add_(1)
        assert model_hash(reward, names, "fp32") == first  # pictures do not see texts
        dict(reward.named_parameters())[min(image)].add_(1)
    assert model_hash(reward, names, "fp32") != first


def test_the_statistics_of_a_tower_belong_to_what_its_states_depend_on() -> None:
    reward = PickScore(build_towers(timm_text()))
    names = towers(reward)
    first = model_hash(reward, names, "fp32")
    buffers = dict(reward.named_buffers())
    mean = next(v for k, v in buffers.items() if k.endswith("running_mean"))
    mean += 1
    assert model_hash(reward, names, "fp32") != first


def test_a_reward_that_does_not_say_what_its_states_depend_on_is_known_by_all_options() -> None:
    first, second = (aesthetic.tiny(version) for version in ("v2", "v2-relu"))
    second.tower.load_state_dict(first.tower.state_dict())
    names = {name for name, _ in first.named_parameters() if name.startswith("tower.")}
    assert model_hash(first, names, "fp32") != model_hash(second, names, "fp32")


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


def test_the_conditions_are_those_of_the_reward() -> None:
    reward = tiny_mps().eval()
    kept_conditions = TextFeatures(reward, fp32).conditions()
    assert torch.equal(kept_conditions.tokens, reward.condition_features().tokens)
    assert not kept_conditions.tokens.requires_grad


def test_states_lie_by_what_computes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = tiny_mps()
    names = towers(reward)

    def both() -> tuple[str, str]:
        return model_hash(reward, names, "fp32"), text_hash(reward, "fp32")

    hashes = [both()]
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    hashes.append(both())
    for changed in ("torch", "torchvision", "transformers", "open_clip_torch", "timm", "Pillow"):
        monkeypatch.setattr(
            metadata, "version", lambda name, c=changed: "9.9" if name == c else "1.2.3"
        )
        hashes.append(both())
    monkeypatch.setattr(MPS, "device", torch.device("cuda"))
    monkeypatch.setattr(module, "tower_weights", lambda _: (names, names))
    for allowed in (True, False):
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
        hashes.append(both())
    told = [one for pair in hashes for one in pair]
    assert len(set(told)) == len(told) == 20


def test_a_patch_of_a_version_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = tiny_mps()
    names, hashes = towers(reward), []
    for version in ("1.2.3", "1.2.4+cpu", "1.3.0"):
        monkeypatch.setattr(metadata, "version", lambda _, v=version: v)
        hashes.append(model_hash(reward, names, "fp32"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_each_process_reads_its_share_of_the_files_and_they_tell_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = files(tmp_path)
    missing = str(tmp_path / "missing.png")
    asked = [*paths, missing]
    expected = chunked.content_hashes(asked)
    read: list[str] = []

    def noted(pictures: Any) -> Any:
        read.extend(pictures)
        return chunked.content_hashes(pictures)

    monkeypatch.setattr(module, "content_hashes", noted)
    others = {k: v for one in expected for k, v in one.items() if k in asked[1::2]}
    given = iter([0, 1])

    def union(own: Any) -> dict[str, str]:
        return {**own, **{k: others[k] for k in expected[next(given)] if k in others}}

    one = kept(tiny_mps(), tmp_path / "kept")
    assert list(one.survey(asked, 0, 2, union)) == [missing]
    assert read == asked[0::2]
