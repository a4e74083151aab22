from beholder import prompt_sets
from beholder.annotation import sources
from handbook.pages.data import pages


def test_every_data_set_and_set_of_prompts_is_told() -> None:
    (page,) = pages().values()
    for name in sources.names():
        card = sources.load(name).card
        assert f"### {card.name}\n" in page
        assert all(f"| {split} |" in page for split in card.splits)
    assert all(f"- `{name}`: " in page for name in prompt_sets.names())
