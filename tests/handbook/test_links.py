from handbook import links


def test_links_are_found_in_order_with_pictures_among_them() -> None:
    text = 'See [a](a.md) and ![b](images/b.png "B"), or [![c](c.png)](https://x.org/c).'
    assert links.links(text) == ["a.md", "images/b.png", "c.png", "https://x.org/c"]


def test_what_stands_in_code_is_no_link() -> None:
    text = "`[a](a.md)` ``[b](`b.md)`` [c](c.md)\n```\n[d](d.md)\n```\n[e](e.md)"
    assert links.links(text) == ["c.md", "e.md"]


def test_a_longer_fence_holds_shorter_ones() -> None:
    text = "````\n```\n[a](a.md)\n```\n````\n[b](b.md)"
    assert links.links(text) == ["b.md"]


def test_moving_changes_targets_and_nothing_else() -> None:
    text = '[a](a.md "title") `[a](a.md)` tail'
    assert links.rewritten(text, lambda target: f"up/{target}") == (
        '[a](up/a.md "title") `[a](a.md)` tail'
    )


def test_addresses_and_places_on_the_page_lead_elsewhere() -> None:
    assert all(map(links.is_elsewhere, ("https://x", "mailto:a@b", "#here", "//x")))
    assert not links.is_elsewhere("../SECURITY.md#what")


def test_a_link_is_read_from_where_its_page_lies() -> None:
    assert links.resolved("../SECURITY.md#a", "docs/serving.md") == ("SECURITY.md", "a")
    assert links.resolved("filter.md", "docs/tutorials/rank.md") == ("docs/tutorials/filter.md", "")
    assert links.relative("project/SECURITY.md", "tutorials/rank.md", "a") == (
        "../project/SECURITY.md#a"
    )
