import pytest

from beholder._verbs.measure_text import cards
from handbook.pages.metrics import metric_page, pages

CARDS = cards()


def test_there_is_a_page_for_each_metric_and_a_row_that_leads_to_it() -> None:
    made = pages()
    table = made.pop("catalogue/metrics.md")
    assert sorted(made) == sorted(f"catalogue/metrics/{name}.md" for name in CARDS)
    assert all(f"| [{name}](metrics/{name}.md) |" in table for name in CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_a_page_names_every_option_and_its_default(name: str) -> None:
    page = metric_page(name, CARDS[name])
    assert all(f"| `--set {name}.{key}=…` |" in page for key in CARDS[name].options)


def test_the_command_has_a_real_side_or_prompts_where_they_are_needed() -> None:
    assert "beholder measure real/ generated/ --metric fid" in metric_page("fid", CARDS["fid"])
    page = metric_page("clipscore", CARDS["clipscore"])
    assert "beholder measure generated/ --prompts prompts.txt --metric clipscore" in page
