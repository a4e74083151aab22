from importlib import metadata

import pytest

from beholder.annotation.server import supported
from beholder.annotation.server.supported import check_sdk, check_server
from beholder.errors import AnnotationError, MissingDependencyError

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize("release", ["1.20.0", "1.23.2", "1.23.2+0.gdf96d79.dirty", "1.99.0dev1"])
def test_releases_of_the_accepted_range_pass(release: str) -> None:
    assert check_server(URL, release) == release


@pytest.mark.parametrize("release", ["1.19.9", "2.0.0", "0.9", "nightly"])
def test_another_release_is_named_beside_what_is_expected(release: str) -> None:
    expected = rf"{release}; expected 1\.20 or later, below 2 \(tested with 1\.23\.2\)"
    with pytest.raises(AnnotationError, match=expected):
        check_server(URL, release)


def test_a_server_that_tells_no_release_is_no_label_studio() -> None:
    with pytest.raises(AnnotationError, match="is no Label Studio"):
        check_server(URL, None)


def test_the_installed_sdk_is_the_tested_one() -> None:
    check_sdk()
    assert metadata.version("label-studio-sdk") == supported.TESTED_SDK


@pytest.mark.parametrize("release", ["1.0.20", "3.0.0"])
def test_another_sdk_is_refused(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: release)
    with pytest.raises(
        AnnotationError, match=rf"label-studio-sdk {release} is installed; expected"
    ):
        check_sdk()


def test_a_missing_sdk_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(MissingDependencyError, match="pip install label-studio-sdk"):
        check_sdk()
