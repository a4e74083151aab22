"""Settings of metrics: known, of the right type, and the protocol where there is one."""

import pytest

from beholder.errors import ConfigError
from beholder.eval.measures import find, names
from beholder.eval.measures._chosen import choose


def test_a_metric_has_its_defaults_and_what_was_given() -> None:
    found = choose("kid", {"size": 10}, name="small")
    assert (found.metric, found.name) == ("kid", "small")
    assert (found.options.size, found.options.subsets) == (10, 100)


def test_a_protocol_is_the_resize_of_metrics_that_have_one() -> None:
    assert choose("fid", protocol="clean").options.resize == "clean"
    assert choose("fid", {"resize": "tf1"}, protocol="clean").options.resize == "tf1"
    for name in names():
        choose(name, protocol="clean")  # the others ignore it


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"sise": 1}, "no setting 'sise'; it has"), ({"size": "many"}, "kid: size: ")],
)
def test_unknown_settings_and_wrong_types_are_refused(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        choose("kid", settings)


def test_every_metric_can_be_found_and_works_without_settings() -> None:
    for name in names():
        measure = find(name)
        needs = measure.needs(measure.options())
        assert needs, name
        assert all(n.sampling is None for n in needs) == (measure.takes == "pictures"), name
        hash(needs[0])
    with pytest.raises(ConfigError, match="unknown metric 'fdi'"):
        find("fdi")
