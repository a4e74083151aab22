import re

from handbook.pages.verbs import pages, verb_page, verbs

VERBS = dict(verbs())


def test_verbs_of_annotate_are_verbs_of_their_own() -> None:
    assert {"score", "filter", "annotate push", "annotate source"} <= set(VERBS)
    assert "annotate" not in VERBS


def test_there_is_a_page_for_each_verb_and_a_row_that_leads_to_it() -> None:
    made = pages()
    table = made.pop("reference/verbs.md")
    files = {name: f"{name.replace(' ', '-')}.md" for name in VERBS}
    assert sorted(made) == sorted(f"reference/verbs/{file}" for file in files.values())
    assert all(f"[`beholder {name}`](verbs/{file})" in table for name, file in files.items())


def test_a_page_has_every_option_of_its_verb() -> None:
    for name, verb in VERBS.items():
        page = verb_page(name, verb)
        told = [p for p in verb.params if p.param_type_name == "option" and not p.hidden]
        flags = [flag for option in told for flag in option.opts]
        assert [flag for flag in flags if not re.search(rf"{flag}[ ,`]", page)] == []


def test_defaults_stand_beside_what_an_option_is() -> None:
    page = verb_page("score", VERBS["score"])
    row = "| `--batch-size <whole number>` | Pictures in one pass of the model. | `32; x>=1` |"
    assert row in page


def test_the_example_is_a_block_of_its_own() -> None:
    page = verb_page("score", VERBS["score"])
    assert "Example:\n\n```text\nbeholder score " in page
