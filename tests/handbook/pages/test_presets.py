import yaml

from beholder.configs._load import presets
from handbook.pages.presets import apart, pages


def test_there_is_a_page_for_each_preset_of_both_verbs() -> None:
    made = set(pages()) - {"catalogue/presets.md"}
    train = {f"catalogue/presets/train-{name}.md" for name in presets()}
    assert made == train | {f"catalogue/presets/tune-{name}.md" for name in presets("tune")}


def test_the_yaml_of_a_page_is_that_of_the_preset() -> None:
    page = pages()["catalogue/presets/train-mps_vit_h_14.md"]
    block = page.partition("```yaml\n")[2].partition("```")[0]
    assert yaml.safe_load(block)["reward"] == "mps"


def test_the_comment_above_is_prose_and_the_rest_yaml() -> None:
    said, text = apart("# One.\n# Two.\nrun: runs/x\n# inner\nfit: {}\n")
    assert said == ["One.", "Two."]
    assert text == "run: runs/x\n# inner\nfit: {}"


def test_the_table_has_the_first_sentence_of_each() -> None:
    table = pages()["catalogue/presets.md"]
    assert "MPS at its published size (Zhang et al., CVPR 2024), every weight" in table
