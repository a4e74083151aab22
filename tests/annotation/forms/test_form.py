from importlib import resources

import pytest

from beholder.annotation.forms.form import find_form, form_names, load_form
from beholder.errors import AnnotationError
from tests.annotation.samples import real_ratings, real_tasks


def test_every_template_has_its_form_and_is_found_by_its_name() -> None:
    files = (resources.files("beholder.annotation.forms") / "templates").iterdir()
    assert {f"{name}.xml" for name in form_names()} == {file.name for file in files}
    for name in form_names():
        form = load_form(name)
        assert form.name == name
        assert form.xml().startswith("<View")


def test_tasks_tell_which_form_asked() -> None:
    assert find_form(task["data"] for task in real_tasks()).name == "pairwise"
    assert find_form(task["data"] for task in real_ratings()).name == "richhf"
    assert find_form([None, {"prompt": "x"}, {"image": "x.png"}]).name == "richhf"


def test_what_fits_no_form_is_told_what_would() -> None:
    with pytest.raises(AnnotationError, match=r"pairwise: .*data\.image_left.*; richhf: .*data\.i"):
        find_form([{"picture": "x.png"}])
    with pytest.raises(AnnotationError, match="no template 'ranker'; there are pairwise, richhf"):
        load_form("ranker")
