import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from beholder.errors import ConfigError
from beholder.training._tuning.page import MOST_EVALUATIONS, signed, write_run_report
from beholder.training._tuning.samples import sample_path
from beholder.training.run_folder import write_json
from tests._page.photographs import HOSTILE
from tests.training._tuning.runs import PROMPTS, evaluation, rising, run

THREE = {0: evaluation(0, 0), 25: evaluation(1, 0.5, 0.5), 50: evaluation(2, 0.25, 1)}


class Page(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def sections(self) -> list[str | None]:
        return [section["id"] for section in self.all("section")]


def figures(page: Path) -> list[str]:
    return re.findall(r'class="figure">([^<]+)<', page.read_text())


def test_the_figures_are_those_of_the_best_step(tmp_path: Path) -> None:
    page = write_run_report(run(tmp_path, THREE, best=25))
    assert page == tmp_path / "report.html"
    assert figures(page) == ["+1.00", "+0.50", "+0.50", "+1.0", "25"]
    text = Page(page).text
    for aside in ("0.4000 → 0.9000", "21.00 → 21.62", "0.1600 → 0.1616", "of 50, stopped early"):
        assert aside in text


def test_a_finished_run_has_every_section(tmp_path: Path) -> None:
    page = Page(write_run_report(run(tmp_path, THREE, best=25)))
    assert page.sections() == ["rewards", "samples", "learning", "checks", "use"]
    assert "kept: step 25" in page.text
    assert f"beholder tune {tmp_path}/config.yaml run={tmp_path}" in page.text
    assert "LoRA reload    exact" in page.text


def test_a_run_that_goes_on_is_told_as_one(tmp_path: Path) -> None:
    page = Page(write_run_report(run(tmp_path, THREE)))
    assert "best: step 25" in page.text
    assert "use" not in page.sections(), "there is no LoRA yet"


def test_a_run_that_has_just_begun_is_a_page(tmp_path: Path) -> None:
    page = Page(write_run_report(run(tmp_path, {})))
    assert page.sections() == []
    assert "has not evaluated anything yet" in page.text


def test_a_run_without_a_held_out_reward_shows_no_gap(tmp_path: Path) -> None:
    found = {0: evaluation(0, None), 25: evaluation(1, None)}
    path = write_run_report(run(tmp_path, found, best=25, held_out_reward=""))
    assert figures(path) == ["+1.00", "0.0", "25"]
    text = Page(path).text
    assert "Nothing watches for reward hacking in this run" in text
    assert "held out" not in text


def test_scores_that_are_not_finite_leave_a_page(tmp_path: Path) -> None:
    nothing = dict.fromkeys(THREE[0], float("nan"))
    page = write_run_report(run(tmp_path, {0: THREE[0], 25: nothing}, best=0))
    assert "nan" not in Page(page).text.lower()
    assert figures(page)[-1] == "0"


def test_a_row_shows_one_prompt_and_a_column_one_step(tmp_path: Path) -> None:
    found = {step: evaluation(0, 0) for step in range(0, 90, 10)}
    page = Page(write_run_report(run(tmp_path, found, best=70)))
    pictures = [image["alt"] for image in page.all("img")]
    steps = (0, 20, 30, 50, 70, 80)
    assert pictures == [f"step {step}: {prompt}" for prompt in PROMPTS for step in steps]
    assert page.text.count("kept") >= len(PROMPTS)
    assert "--shape:1.5" in str([box.get("style") for box in page.all("div")])


def test_a_sample_that_is_gone_or_damaged_is_an_empty_cell(tmp_path: Path) -> None:
    folder = run(tmp_path, THREE, best=25)
    sample_path(folder, 25, 0).unlink()
    sample_path(folder, 50, 1).write_bytes(b"RIFF")
    page = Page(write_run_report(folder))
    assert len(page.all("img")) == 3 * len(PROMPTS) - 2
    labels = [box.get("aria-label") for box in page.all("div")]
    assert {"step 25: no picture", "step 50: no picture"} <= set(labels)


def test_many_prompts_are_cut(tmp_path: Path) -> None:
    prompts = [f"prompt {k}" for k in range(20)]
    page = Page(write_run_report(run(tmp_path, {0: THREE[0]}, prompts=prompts)))
    assert len(page.all("img")) == 12


def test_the_exact_figures_are_a_table_of_every_evaluation(tmp_path: Path) -> None:
    page = Page(write_run_report(run(tmp_path, THREE, best=25)))
    assert len(page.all("tr")) == 1 + len(THREE)
    many = Page(write_run_report(run(tmp_path / "many", rising(124, 2), prompts=PROMPTS[:1])))
    assert len(many.all("tr")) == 1 + MOST_EVALUATIONS


def test_every_other_number_has_a_curve_unless_it_never_changes(tmp_path: Path) -> None:
    page = Page(write_run_report(run(tmp_path, THREE, best=25)))
    told = [str(drawing.get("aria-label")).partition(":")[0] for drawing in page.all("svg")]
    for name in ("reward/mean", "train/kl", "train/loss", "train/gradient_norm"):
        assert name in told
    assert not {"train/learning_rate", "eval/failed", "time/step_seconds"} & set(told)
    assert "gradient norm" in page.text
    assert told.index("reward/mean") < told.index("train/kl") < told.index("train/loss")


def test_texts_are_escaped_and_nothing_is_asked_of_the_network(tmp_path: Path) -> None:
    folder = run(tmp_path, THREE, best=25, prompts=[HOSTILE], reward=HOSTILE, pipeline=HOSTILE)
    path = write_run_report(folder)
    page = Page(path)
    assert page.all("script") == []
    assert not {"\x07", "\u202e"} & set(path.read_text())
    sources = [image["src"] for image in page.all("img")]
    assert all(str(source).startswith("data:image/webp;base64,") for source in sources)


def test_a_folder_that_moved_is_told_alike(tmp_path: Path) -> None:
    folder = run(tmp_path / "here", THREE, best=25)
    before = write_run_report(folder).read_text()
    moved = folder.rename(tmp_path / "there")
    assert write_run_report(moved).read_text() == before.replace("/here", "/there")


def test_another_folder_is_refused_and_gets_no_page(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not the folder of a tuning"):
        write_run_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_change_has_its_sign() -> None:
    assert [signed(x) for x in (1.234, -0.5, 0.0, 0.001)] == [
        "+1.23",
        "\N{MINUS SIGN}0.50",
        "0.00",
        "0.00",
    ]
    assert signed(float("nan")) == "\N{EN DASH}"


def test_what_a_judge_outside_the_run_says_comes_first(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", best=50)
    told = {
        "judge": "the known truth",
        "notice": "The judge is simulated.",
        "win_rate": 0.731,
        "low": 0.66,
        "high": 0.8,
        "pictures": 96,
    }
    write_json(folder / "judged.json", told)
    page = write_run_report(folder)
    assert figures(page)[0].startswith("73")
    for text in ("Preferred by the known truth", "66 to 80, 96 pairs", "The judge is simulated."):
        assert text in page.read_text()
