from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData

from beholder.errors import BeholderError, ConfigError
from beholder.training._tuning.hub import model_card, push_lora, without_places, write_card
from beholder.training._tuning.record import LORA
from beholder.training._tuning.samples import sample_path
from tests._page.photographs import HOSTILE
from tests.training._tuning.runs import BASE, PROMPTS, evaluation, run

TWO = {0: evaluation(0, 0), 25: evaluation(1, 0.5, 0.5)}


class Address(str):
    repo_id = "user/mine"


class Hub:
    """Stands in for `HfApi`; keeps what is sent."""

    def __init__(self) -> None:
        self.made: dict[str, object] = {}
        self.files: dict[str, bytes] = {}

    def __call__(self) -> "Hub":
        return self

    def create_repo(self, repo: str, **options: object) -> Address:
        self.made = {"repo": repo, **options}
        return Address(f"https://hub.example/{repo}")

    def upload_folder(self, *, repo_id: str, folder_path: str) -> None:
        assert repo_id == Address.repo_id
        root = Path(folder_path)
        files = (path for path in root.rglob("*") if path.is_file())
        self.files = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    stand_in = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", stand_in)
    return stand_in


def parsed(card: str) -> tuple[dict[str, Any], str]:
    """The head and the text of a card, as the hub's own client reads them."""
    found = ModelCard(card)
    assert isinstance(found.data, ModelCardData)
    data: Any = found.data
    return data.to_dict(), found.text


def test_the_head_is_what_the_hub_and_diffusers_ask_for(tmp_path: Path) -> None:
    head, _ = parsed(model_card(run(tmp_path, TWO, best=25), BASE))
    assert head["base_model"] == BASE
    assert head["base_model_relation"] == "adapter"
    assert (head["library_name"], head["pipeline_tag"]) == ("diffusers", "text-to-image")
    assert head["tags"] == ["text-to-image", "lora", "diffusers", "beholder", "refl"]
    assert "license" not in head, "nobody but the publisher can grant one"


def test_the_widget_shows_the_weights_that_are_kept(tmp_path: Path) -> None:
    folder = run(tmp_path, TWO | {50: evaluation(2, 0)}, best=25)
    sample_path(folder, 25, 1).unlink()
    head, text = parsed(model_card(folder, BASE))
    shown = {entry["output"]["url"]: entry["text"] for entry in head["widget"]}
    assert shown == {f"samples/step-00000025/{row:03d}.webp": PROMPTS[row] for row in (0, 2, 3)}
    assert all((folder / url).is_file() for url in shown)
    assert "<Gallery />" in text


def test_the_text_tells_figures_use_limits_and_papers(tmp_path: Path) -> None:
    _, text = parsed(model_card(run(tmp_path, TWO, best=25), BASE, "user/mine"))
    for told in (
        "| reward that was learned from | 0.4000 | 0.9000 | +1.00",
        "| held-out reward | 21.00 | 21.62 | +0.50",
        "| denoising loss on its own pictures | 0.1600 | 0.1616 | +1.0 % |",
        'pipe.load_lora_weights("user/mine")',
        "stand in for people and are not people",
        "This card states no licence",
        "| Algorithm | ReFL (margin 2, window 0.15 to 0.65) |",
        "J. Xu et al.",
        "E. J. Hu et al.",
    ):
        assert told in text
    assert "Please note" not in text


def test_doubts_stand_above_the_figures(tmp_path: Path) -> None:
    found = {0: evaluation(0, None), 25: evaluation(1, None)}
    _, text = parsed(model_card(run(tmp_path, found, best=25, held_out_reward=""), BASE))
    assert text.index("Nothing watches for reward hacking") < text.index("## Figures")


@pytest.mark.parametrize("base_model", ["", "my.pipes:build", "/models/sd", "pipeline"])
def test_a_base_model_that_is_not_on_the_hub_is_not_named_to_it(
    tmp_path: Path, base_model: str
) -> None:
    head, _ = parsed(model_card(run(tmp_path, TWO, best=25), base_model))
    assert "base_model" not in head


def test_a_folder_that_looks_like_a_repository_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    head, _ = parsed(model_card(run(tmp_path / "run", TWO, best=25), "models/mine"))
    assert "base_model" not in head


def test_a_pipeline_that_was_given_loaded_is_not_named_after_the_default(tmp_path: Path) -> None:
    folder = run(tmp_path, TWO, best=25)
    (folder / "inputs.yaml").write_text("pipeline: MyPipeline\n")
    assert "base_model" not in parsed(model_card(folder, BASE))[0]
    assert parsed(model_card(folder, "user/mine"))[0]["base_model"] == "user/mine"


def test_hostile_texts_neither_break_the_head_nor_become_markup(tmp_path: Path) -> None:
    prompts = [HOSTILE, "---\na: b", "- *x* | y"]
    folder = run(tmp_path, TWO, best=25, prompts=prompts, reward="<b>|`x`\n# head")
    head, text = parsed(model_card(folder, BASE))
    assert [entry["text"] for entry in head["widget"]][1:] == ["--- a: b", "- *x* | y"]
    assert "\u202e" not in str(head)
    assert "<b>" not in text
    assert "\n# head" not in text


def test_the_card_of_a_run_that_has_just_begun_is_read(tmp_path: Path) -> None:
    head, text = parsed(model_card(run(tmp_path, {}), BASE))
    assert "widget" not in head
    assert "## Figures" not in text


def test_the_card_lies_beside_the_weights(tmp_path: Path) -> None:
    folder = run(tmp_path, TWO, best=25)
    path = write_card(folder, BASE)
    assert path == folder / "README.md"
    assert path.read_text() == model_card(folder, BASE)


def test_pushing_sends_the_lora_its_card_its_samples_and_how(tmp_path: Path, hub: Hub) -> None:
    folder = run(tmp_path, TWO, best=25, prompts=PROMPTS[:2])
    assert push_lora(folder, "mine") == "https://hub.example/mine"
    assert hub.made == {"repo": "mine", "private": True, "exist_ok": True}
    samples = {f"samples/step-00000025/00{row}.webp" for row in (0, 1)}
    assert hub.files.keys() == {"README.md", LORA, "config.yaml"} | samples
    assert hub.files[LORA] == b"weights"
    head, text = parsed(hub.files["README.md"].decode())
    assert {entry["output"]["url"] for entry in head["widget"]} == samples
    assert 'pipe.load_lora_weights("user/mine")' in text, "the address that the hub gave"


def test_nothing_that_is_pushed_tells_of_this_machine(tmp_path: Path, hub: Hub) -> None:
    folder = run(
        tmp_path / "runs" / "mine",
        TWO,
        best=25,
        pipeline=str(tmp_path / "models" / "mine"),
        pipeline_options={"token": "hf_secret", "revision": "main"},
        options={"weights": "~/private/mps.pt"},
    )
    push_lora(folder, "user/mine", private=False)
    sent = b"".join(content for name, content in hub.files.items() if name != LORA)
    for private in (str(tmp_path), "private", "hf_secret"):
        assert private.encode() not in sent
    config = yaml.safe_load(hub.files["config.yaml"])
    assert config["options"]["weights"] == "mps.pt"
    assert config["pipeline"] == "mine"
    assert hub.made["private"] is False


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/me/prompts.txt", "prompts.txt"),
        ("C:\\Users\\me\\prompts.txt", "prompts.txt"),
        ("../data/prompts.txt", "prompts.txt"),
        ("data/prompts.txt", "data/prompts.txt"),
        ("user/name", "user/name"),
        ("package.module:function", "package.module:function"),
    ],
)
def test_a_path_is_cut_to_its_last_name(text: str, kept: str) -> None:
    assert without_places({"a": [text, 1.5]}) == {"a": [kept, 1.5]}


def test_a_run_that_has_not_ended_cannot_be_pushed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the run has not ended"):
        push_lora(run(tmp_path, TWO), "user/mine")


@pytest.mark.parametrize(
    "error",
    [OSError("no token\nsecond line"), httpx.ConnectError("no token"), ValueError("no token")],
)
def test_what_the_hub_refuses_is_one_line(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(hub, "create_repo", refuse)
    folder = run(tmp_path, TWO, best=25)
    with pytest.raises(BeholderError, match=r"cannot push to user/mine: no token; log in") as told:
        push_lora(folder, "user/mine")
    assert "\n" not in str(told.value)


def test_pushing_offline_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BeholderError, match=r"cannot push to user/mine.*HF_HUB_OFFLINE"):
        push_lora(run(tmp_path, TWO, best=25), "user/mine")
