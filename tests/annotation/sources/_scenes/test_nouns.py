import pytest

from beholder.annotation.sources._scenes.nouns import article, head, noun_phrase, plural


@pytest.mark.parametrize(
    ("caption", "phrase"),
    [
        ("A tiger.", ("tiger", None)),
        ("An albino peahen (a female peafowl, or peacock).", ("albino peahen", None)),
        ("A very small pitcher.", ("pitcher", None)),
        ("A red apple!", ("apple", "red")),
        ("A great blue heron.", ("heron", "blue")),
        ("A “Fuji” apple.", ("fuji apple", None)),
        ("A plumber’s wrench.", ("plumber’s wrench", None)),  # noqa: RUF001
        ("A spiny lobster, from the Hawaiian islands.", ("spiny lobster", None)),
        ("A hoverfly resembles a honeybee drone.", None),
        ("A bunch of grapes.", None),
        ("Two wild boars.", None),
        ("Eat your broccoli!", None),
        ("", None),
    ],
)
def test_a_caption_names_a_thing_without_article_size_and_colour(
    caption: str, phrase: tuple[str, str | None] | None
) -> None:
    assert noun_phrase(caption) == phrase


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("tiger", "tigers"),
        ("sports car", "sports cars"),
        ("fox", "foxes"),
        ("paintbrush", "paintbrushes"),
        ("key", "keys"),
        ("cherry", "cherries"),
        ("clownfish", "clownfish"),
        ("baby sheep", "baby sheep"),
        ("mouse", "mice"),
    ],
)
def test_more_than_one(noun: str, many: str) -> None:
    assert plural(noun) == many


def test_the_article_follows_the_first_sound() -> None:
    assert [article(p) for p in ("orange", "red orange", "european bear")] == ["an", "a", "a"]


def test_the_head_says_what_it_is() -> None:
    assert head("sumatran tiger") == head("tiger") == "tiger"
