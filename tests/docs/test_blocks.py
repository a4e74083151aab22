import pytest

from tests.docs.blocks import Block, blocks, pages, worlds

PAGE = """# Title

<!-- world: pictures long -->

```bash
beholder rewards
```

- a list

    <!-- checked: needs a GPU -->
    ```python
    import beholder
        indented = 1
    ```

<!-- file: made/up.yaml -->
```yaml
a: 1
```

<!-- run: leaves 3 -->
````
```
````
"""


def test_a_comment_right_before_a_fence_says_how_it_is_treated() -> None:
    found = blocks("a.md", PAGE)
    assert [(b.line, b.language, b.way, b.said) for b in found] == [
        (6, "bash", "run", ""),
        (13, "python", "checked", "needs a GPU"),
        (19, "yaml", "file", "made/up.yaml"),
        (24, "", "run", "leaves 3"),
    ]
    assert [b.fault() for b in found] == [""] * 4
    assert found[3].leaves == 3


def test_the_indentation_of_a_fence_is_not_of_its_text() -> None:
    assert blocks("a.md", PAGE)[1].text == "import beholder\n    indented = 1\n"


def test_a_longer_fence_holds_shorter_ones() -> None:
    assert blocks("a.md", PAGE)[3].text == "```\n"


def test_the_top_of_a_page_names_its_worlds() -> None:
    assert worlds(PAGE) == ["pictures", "long"]
    assert worlds("\n" * 9 + "<!-- world: pictures -->") == []


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (Block("a.md", 1, "fortran", ""), "no way to treat 'fortran'"),
        (Block("a.md", 1, "bash", "", "skipped", "why"), "means nothing"),
        (Block("a.md", 1, "bash", "", "checked"), "needs a reason"),
        (Block("a.md", 1, "bash", "", "run", "leaves often"), "expected 'leaves CODE'"),
    ],
)
def test_what_cannot_be_treated_is_a_fault(block: Block, said: str) -> None:
    assert said in block.fault()


def test_a_fence_that_is_never_closed_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"a\.md:1: this fence is never closed"):
        blocks("a.md", "```bash\nbeholder rewards\n")


def test_every_page_but_plans_and_history_is_read() -> None:
    assert {"README.md", "docs/scoring.md"} <= set(pages())
    assert "docs/design.md" not in pages()
