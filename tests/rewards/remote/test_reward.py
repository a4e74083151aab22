"""A reward of a server is a reward like any other."""

import copy
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from typing_extensions import override

import beholder
from beholder.errors import BeholderError, ConfigError, DataError, WeightsError
from beholder.rewards import Reward, RewardCard
from beholder.rewards._calibration import owned, write_calibration
from beholder.rewards._preprocess import Preprocess
from beholder.rewards._remote.reward import RemoteReward
from beholder.rewards.ensemble import Ensemble
from beholder.rewards.scoring import configuration, weights_hash
from beholder.types import Scores, WordLabel
from tests.calibrations import calibration
from tests.rewards.contract import (
    PROMPTS,
    check_batching,
    check_doors,
    check_duplicates,
    check_faults,
)
from tests.rewards.remote.servers import Desk, serving
from tests.rewards.simple import Red, Wide, flat


class Shrinking(Red):
    """The mean red of pictures at 8x8."""

    card = replace(Red.card, name="shrinking")

    @property
    @override
    def fitting(self) -> Preprocess:
        return Preprocess(size=8)

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        return self.fitting(pixels)


class Telling(Red):
    """Draws a map and judges the words; a black picture has neither."""

    card = RewardCard(name="telling", paper="none", aspects=("red", "odd"), score_range=(0, 1))

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        red = pixel_values[:, 0].mean((1, 2))
        words = [[WordLabel(w, 0, len(w), 0.25) for w in text.split()[:1]] for text in prompts]
        return Scores(
            red.where(red > 0, torch.nan),
            {"red": red, "odd": red * torch.nan},
            maps={"glow": pixel_values[:, 0]},
            words=words,
            deviations={"red": red / 2},
            errors={k: "too-dark: no light" for k, r in enumerate(red.tolist()) if r == 0},
        )


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    rewards = {"tiny": beholder.load("tiny"), "small": Shrinking(), "wide": Wide()}
    with serving(rewards) as desk:
        yield desk


@pytest.fixture
def tiny(desk: Desk) -> Reward:
    desk.asked.clear()
    return beholder.load(f"{desk.address}/tiny")


def pictures(count: int = 4, dtype: torch.dtype = torch.uint8) -> Tensor:
    random = torch.randint(0, 256, (count, 3, 30, 40), dtype=torch.uint8)
    return random if dtype == torch.uint8 else random.to(dtype) / 255


def test_it_keeps_the_contract_of_every_reward(tiny: Reward) -> None:
    images = torch.rand(4, 3, 96, 80)
    check_batching(tiny, images)
    check_doors(tiny, images)
    check_faults(tiny, images)
    check_duplicates(tiny, images)
    with torch.no_grad():
        assert tiny(images, PROMPTS).total.shape == (4,)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_scores_are_the_local_ones(desk: Desk, name: str, dtype: torch.dtype) -> None:
    remote, local = beholder.load(f"{desk.address}/{name}"), desk.rewards[name]
    images, prompts = pictures(dtype=dtype), ["a cat", "", "a red cube", "a cat"]
    mine, theirs = (reward.score(images, prompts) for reward in (remote, local))
    torch.testing.assert_close(mine.total, theirs.total, atol=1e-6, rtol=1e-6)
    for aspect, values in theirs.aspects.items():
        torch.testing.assert_close(mine.aspects[aspect], values, atol=1e-6, rtol=1e-6)
    assert mine.sizes == theirs.sizes == ((30, 40),) * 4


def test_bytes_and_floats_of_one_size_are_not_mixed_up(desk: Desk, tiny: Reward) -> None:
    mixed = [pictures(1)[0], pictures(1, torch.float32)[0], torch.zeros(3, 30, 40).byte()]
    found = tiny.score(mixed, "a cat").total
    torch.testing.assert_close(found, desk.rewards["tiny"].score(mixed, "a cat").total)
    kinds = [p.dtype for one in desk.scoring() for p in one.pictures]
    assert sorted(map(str, kinds)) == ["torch.float32", "torch.uint8", "torch.uint8"]


def test_pictures_shrink_before_they_travel(desk: Desk) -> None:
    desk.asked.clear()
    remote = beholder.load(f"{desk.address}/small")
    large, little = pictures(1)[0], pictures(1)[0][:, :5, :5].contiguous()
    with torch.no_grad():
        direct = remote(large[None], ["a"]).total
    both = remote.score([large, little], "a")
    assert both.total[0] == direct[0]
    sides = {p.shape[-2:] for one in desk.scoring() for p in one.pictures}
    assert sides == {(8, 8), (5, 5)}
    assert both.sizes == ((30, 40), (5, 5))


def test_maps_words_and_deviations_come_with_the_scores() -> None:
    local, sources = Telling(), [*flat(0.25, 0.0, 0.5)]
    with serving({"telling": local}, details=("maps", "words", "deviations")) as desk:
        remote = beholder.load(desk.address)
        mine, theirs = (r.score(sources, ["a cat", "b", "c d"]) for r in (remote, local))
        assert {tuple(one.details) for one in desk.scoring()} == {("maps", "words", "deviations")}
    for part in ("aspects", "maps", "deviations"):
        for name, values in getattr(theirs, part).items():
            torch.testing.assert_close(getattr(mine, part)[name][::2], values[::2], equal_nan=True)
    assert mine.errors == theirs.errors == {1: "too-dark: no light"}
    assert mine.total[1].isnan()
    assert mine.words[::2] == tuple(map(tuple, theirs.words[::2]))
    assert mine.picture_maps(0)["glow"].shape == (4, 6)


def test_there_is_no_gradient_and_it_says_what_learns_without(tiny: Reward) -> None:
    assert not tiny.card.differentiable
    leaf = torch.rand(1, 3, 16, 16, requires_grad=True)
    with pytest.raises(ConfigError, match="dpo or nft"):
        tiny(leaf, ["a cat"])
    with torch.no_grad():
        assert tiny(leaf, ["a cat"]).total.isfinite().all()
    check = pytest.raises(ConfigError, match="not differentiable")
    with check:
        beholder.load("smoothed", reward=tiny)


def test_an_ensemble_takes_it_as_a_member(desk: Desk, tiny: Reward) -> None:
    local = desk.rewards["tiny"]
    both = Ensemble({"here": local, "there": tiny}, scales="none").eval()
    for dtype in (torch.uint8, torch.float32):
        scores = both.score(pictures(dtype=dtype), "a cat")
        torch.testing.assert_close(scores.aspects["here"], scores.aspects["there"])
    assert not both.card.differentiable
    assert desk.address in str(both.options())
    assert desk.address not in str(both.deciding())
    alone = Ensemble({"here": local}, scales="none")
    assert alone.deciding() == alone.options()
    assert list(beholder.load("ensemble", rewards=[f"{desk.address}/tiny"]).names) == ["tiny"]  # type: ignore[arg-type]


def test_without_a_name_it_is_the_first(desk: Desk) -> None:
    for address in (desk.address, f"{desk.address}/", f"{desk.address}/tiny/"):
        remote = beholder.load(address)
        assert remote.options() == {"address": f"{desk.address}/tiny"}
        assert remote.card.name == "tiny"


def test_a_name_that_is_not_served_is_told_with_those_that_are(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="no reward 'tinny'; it serves tiny, small, wide"):
        beholder.load(f"{desk.address}/tinny")


def test_options_that_it_does_not_know_are_named(desk: Desk) -> None:
    with pytest.raises(ConfigError, match=r"no option 'weights'; it knows token, token_file, ti"):
        beholder.load(desk.address, weights="w.pt")
    with pytest.raises(ConfigError, match="no option 'sed'"):
        RemoteReward.from_options({"address": desk.address, "sed": 1})
    with pytest.raises(ConfigError, match="needs its address"):
        RemoteReward.from_options({})


def test_it_lives_below_a_path_of_a_proxy_and_at_an_ipv6_address() -> None:
    with serving({"red": Red()}, host="::1", root="/models/v2") as desk:
        remote = beholder.load(f"{desk.address}/red")
        assert remote.options() == {"address": f"{desk.address}/red"}
        assert remote.score(list(flat(0.5)), "a").total.item() == 0.5
        assert "[::1]" in desk.address
        with pytest.raises(BeholderError, match="status 404 is no reward server"):
            beholder.load(desk.address.replace("/models/v2", "/red"))


def test_precision_is_the_servers(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    remote = beholder.load(f"{desk.address}/tiny", dtype=torch.bfloat16, device="cpu")
    assert "dtype=torch.bfloat16 is left out" in caplog.text
    expected = desk.rewards["tiny"].score(flat(0.5), "a").total
    torch.testing.assert_close(remote.score(flat(0.5), "a").total, expected)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_scores_alike(tiny: Reward, copied: Any) -> None:
    other = cast("Reward", copied(tiny))
    assert other.card == tiny.card
    images = pictures()
    assert torch.equal(other.score(images, PROMPTS).total, tiny.score(images, PROMPTS).total)


def test_it_is_saved_without_its_token_and_found_again(desk: Desk, tmp_path: Path) -> None:
    remote = beholder.load(f"{desk.address}/tiny", token="SECRET-SECRET-SECRET")
    remote.save_pretrained(tmp_path)
    assert not any(b"SECRET" in path.read_bytes() for path in tmp_path.iterdir())
    again = RemoteReward.from_pretrained(tmp_path, token="other", patience=1.0)
    assert again.options() == remote.options()
    assert repr(remote) == f"RemoteReward('{desk.address}/tiny', name='tiny')"
    assert weights_hash(again) == weights_hash(remote)
    with pytest.raises(WeightsError, match="does not choose code"):
        beholder.load(str(tmp_path))  # nor where pictures and the token are sent


def test_what_was_saved_is_refused_once_the_server_has_other_weights(tmp_path: Path) -> None:
    with serving({"tiny": beholder.load("tiny")}) as desk:
        beholder.load(desk.address).save_pretrained(tmp_path)
        desk.rewards["tiny"] = beholder.load("tiny", seed=1)
        told = r'another version .*options {"seed":0} then, {"seed":1} now; weights \w{12} then, '
        with pytest.raises(WeightsError, match=told):
            RemoteReward.from_pretrained(tmp_path)


def test_what_decides_the_numbers_is_the_model_and_not_where_it_is() -> None:
    found: dict[str, Mapping[str, object]] = {}
    for where, seed in (("here", 0), ("there", 0), ("other", 1)):
        with serving({"tiny": beholder.load("tiny", seed=seed)}) as desk:
            found[where] = configuration(beholder.load(desk.address), "white")
    assert found["here"] == found["there"] != found["other"]


def test_its_calibration_is_of_the_model_wherever_it_is(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    with serving({"tiny": beholder.load("tiny")}) as desk:
        write_calibration(owned(beholder.load(desk.address), calibration()), file)
    with serving({"tiny": beholder.load("tiny")}, root="/there") as desk:
        remote = beholder.load(f"{desk.address}/tiny", calibration=file)
        won = remote.win_probability(remote.score(list(pictures(2)), "a cat")).total
        assert ((won > 0) & (won < 1)).all()
        desk.rewards["tiny"] = beholder.load("tiny", seed=1)
        with pytest.raises(WeightsError, match="of other weights"):
            beholder.load(f"{desk.address}/tiny", calibration=file)


def test_many_threads_may_share_it(desk: Desk, tiny: Reward) -> None:
    from concurrent.futures import ThreadPoolExecutor

    images = pictures(6)
    expected = desk.rewards["tiny"].score(images, "a cat").total
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(tiny.score, images, "a cat") for _ in range(8)]
    for task in tasks:
        torch.testing.assert_close(task.result().total, expected)


def test_strict_refuses_before_anything_is_sent(desk: Desk, tiny: Reward) -> None:
    with pytest.raises(DataError, match="prompt 1"):
        tiny.score(list(pictures(2)), ["a", "x" * 20_001], strict=True)
    assert desk.scoring() == []
