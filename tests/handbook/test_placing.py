import pytest

from handbook import placing
from handbook.pages import project


@pytest.mark.parametrize(
    ("page", "text", "becomes"),
    [
        ("serving.md", "[s](../SECURITY.md#what)", "[s](project/SECURITY.md#what)"),
        ("tutorials/rank.md", "[r](../ranking.md)", "[r](../ranking.md)"),
        ("tutorials/rank.md", "[r](../rewards.md#mps)", "[r](../rewards/mps.md)"),
        ("ranking.md", "[r](rewards.md)", "[r](rewards.md)"),
        ("index.md", "[r](../README.md)", "[r](index.md)"),
        ("project/CHANGELOG.md", "[d](docs/design.md)", "[d](../design.md)"),
        ("project/CONTRIBUTING.md", "[s](SECURITY.md)", "[s](SECURITY.md)"),
        ("a.md", "[p](../pyproject.toml)", "[p](repository/pyproject.toml)"),
        ("a.md", "[b](../benchmarks/results)", "[b](repository/benchmarks/results/index.md)"),
        ("a.md", "[x](https://x.org/#y) [z](#z)", "[x](https://x.org/#y) [z](#z)"),
    ],
)
def test_links_lead_to_the_same_place_on_the_site(page: str, text: str, becomes: str) -> None:
    assert placing.adapted(text, page) == becomes


def test_what_is_said_to_the_tests_alone_is_not_on_the_site() -> None:
    world, leaves = "<!-- world: quickstart -->", "<!-- run: leaves 3 -->"
    text = f"# T\n\n{world}\n\n{leaves}\n```bash\nls\n```\n<!-- kept -->"
    adapted = placing.adapted(text, "a.md")
    assert "world" not in adapted
    assert "leaves" not in adapted
    assert "<!-- kept -->" in adapted


def test_a_list_right_under_prose_is_a_list() -> None:
    assert placing.adapted("prose:\n- a\n- b\n", "a.md") == "prose:\n\n- a\n- b\n"
    assert placing.adapted("- a\n  more\n- b", "a.md") == "- a\n  more\n- b"


def test_a_list_in_code_stays_as_it_is() -> None:
    text = "```yaml\nrewards:\n- a\n```"
    assert placing.adapted(text, "a.md") == text


def test_the_catalogue_is_a_table_whose_rows_lead_to_pages() -> None:
    text = "# The rewards\n\n| [mps](#mps) | x |\n\n## mps\n\nall of it"
    assert placing.adapted(text, "rewards.md").strip() == (
        "# The rewards\n\n| [mps](rewards/mps.md) | x |"
    )


def test_files_outside_docs_are_those_that_the_site_has_no_page_for() -> None:
    text = "[a](../Makefile) [b](../SECURITY.md) [c](x.md) [d](../benchmarks/results)"
    assert placing.foreign_files(text, "a.md") == {"Makefile", "benchmarks/results"}


def test_a_folder_is_a_list_of_its_files() -> None:
    files = placing.folder_files(project.RESULTS)
    page = placing.folder_page(project.RESULTS)
    assert files
    assert page.count("\n- [") == len(files)
    assert all(placing.exists(file) for file in files)
