"""Settings of metrics: known, of the right type, and the protocol where there is one."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from beholder.errors import ConfigError
from beholder.eval.measures import find, names
from beholder.eval.measures._chosen import choose

FREE_TEXT = {("cmmd", "model"): "a local file of weights may be of any model"}
BAD: Mapping[object, object] = {
    int: -1,
    float: float("nan"),
    bool: "no such",
    str: "no such",
    tuple: ("a", "A"),
}
OUT_OF_RANGE = [
    *(
        (metric, setting, value)
        for setting, value in (("groups", 1), ("ddof", 2), ("draws", 0), ("frames", 0))
        for metric in names()
        if setting in get_type_hints(find(metric).options)
    ),
    ("cmmd", "scale", 0.0),
    ("cmmd", "sigma", 0.0),
    ("cmmd", "sigma", float("inf")),
    ("fid", "resize", "dgm-uint8"),
    ("fid_infinity", "points", 2),
    ("fid_infinity", "smallest", 0.0),
    ("fid_infinity", "smallest", 1.0),
    ("fvd", "frames", 9),
    ("fvd", "protocol", "imagenet"),
    ("fvd", "stride", 0),
    ("kid", "seed", 2**32),
    ("kid", "size", 1),
    ("kid", "subsets", 0),
    ("mifid", "epsilon", 0.0),
    ("mifid", "epsilon", 1.1),
    ("precision_recall", "density_k", 0),
    ("precision_recall", "k", 0),
    ("precision_recall", "resize", "edm2"),
    ("video_accuracy", "frames", 9),
    ("video_inception_score", "frames", 9),
]


def test_a_metric_has_its_defaults_and_what_was_given() -> None:
    found = choose("kid", {"size": 10}, name="small")
    assert (found.metric, found.name) == ("kid", "small")
    assert (found.options.size, found.options.subsets) == (10, 100)


def test_a_protocol_is_the_resize_of_metrics_that_have_one() -> None:
    assert choose("fid", protocol="clean").options.resize == "clean"
    with pytest.raises(ConfigError, match="resize=tf1 and the protocol clean contradict"):
        choose("fid", {"resize": "tf1"}, protocol="clean")
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


def kind_of(hint: Any) -> object:
    """int of `int` and of `int | None`, str of a Literal of strings, tuple of `tuple[str, ...]`."""
    kinds = [each for each in get_args(hint) if each is not type(None)]
    if type(None) in get_args(hint):
        return kind_of(kinds[0])
    return str if get_origin(hint) is Literal else get_origin(hint) or hint


def settings_of_every_metric() -> list[tuple[str, str, object]]:
    return [
        (metric, setting, kind_of(hint))
        for metric in names()
        for setting, hint in get_type_hints(find(metric).options).items()
        if (metric, setting) not in FREE_TEXT
    ]


@pytest.mark.parametrize(("metric", "setting", "kind"), settings_of_every_metric())
def test_every_setting_refuses_what_it_cannot_be(metric: str, setting: str, kind: object) -> None:
    with pytest.raises(ConfigError, match=f"^{metric}: {setting}") as caught:
        choose(metric, {setting: BAD[kind]})
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize(("metric", "setting", "value"), OUT_OF_RANGE)
def test_values_just_out_of_range_are_refused(metric: str, setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{metric}: {setting} must .*\bgot {value!r}$"):
        choose(metric, {setting: value})


def test_a_fault_reads_as_the_metric_tells_it() -> None:
    with pytest.raises(ConfigError) as caught:
        choose("fid", {"groups": 1})
    assert str(caught.value) == "fid: groups must be 0 or 2 or more, got 1"
    with pytest.raises(ConfigError) as caught:
        choose("inception_score", {"splits": "ad"})
    assert str(caught.value).startswith("inception_score: splits: Input should be 'both', ")
    assert str(caught.value).endswith(", got 'ad'")


@pytest.mark.parametrize(
    ("metric", "settings"),
    [
        ("fid", {"groups": 0, "ddof": 0, "resize": "tm-antialias"}),
        ("kid", {"subsets": 1, "size": 2, "seed": 2**32 - 1, "groups": 2}),
        ("precision_recall", {"features": "dinov2", "resize": "edm2", "k": 1, "draws": 1}),
        ("precision_recall", {"features": "vgg16", "resize": "clean"}),
        ("fid_infinity", {"points": 3, "seed": 0}),
        ("fid2vid", {"frames": 1}),
        ("fvd", {"features": "videomae", "protocol": "imagenet", "ddof": 1, "frames": 8}),
        ("fvd", {"frames": 10, "clips": "spread"}),
        ("video_accuracy", {"network": "resnet-50", "frames": 1}),
        ("mifid", {"epsilon": 1.0, "draws": 1}),
        ("cmmd", {"model": "my own"}),
    ],
)
def test_the_ends_of_ranges_are_inside(metric: str, settings: dict[str, object]) -> None:
    options = choose(metric, settings).options
    assert {key: getattr(options, key) for key in settings} == settings
