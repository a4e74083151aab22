from pathlib import Path

import pytest

from beholder.annotation.reading.pictures import is_elsewhere, is_on_server, resolve_picture
from beholder.errors import AnnotationError

ROOT = Path("/srv/images")


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("/data/local-files/?d=gen/x.png", "/srv/images/gen/x.png"),
        ("/data/local-files/?d=gen/a%20%26%20b.png", "/srv/images/gen/a & b.png"),
        ("/data/local-files/?d=gen/../other/x.png", "/srv/images/other/x.png"),
        ("/data/upload/3/ab12-x.png", "/srv/images/upload/3/ab12-x.png"),
        ("gen/x.png", "/srv/images/gen/x.png"),
        ("/elsewhere/x.png", "/elsewhere/x.png"),
        ("https://host/data/local-files/?d=x.png", "https://host/data/local-files/?d=x.png"),
        ("data:image/png;base64,AAAA", "data:image/png;base64,AAAA"),
    ],
)
def test_server_addresses_become_paths_below_the_root(reference: str, path: str) -> None:
    assert resolve_picture(reference, ROOT) == path


def test_without_a_root_every_reference_is_kept() -> None:
    assert resolve_picture("/data/local-files/?d=../x", None) == "/data/local-files/?d=../x"


@pytest.mark.parametrize(
    "reference",
    [
        "/data/local-files/?d=../secret.png",
        "/data/local-files/?d=gen/../../secret.png",
        "/data/local-files/?d=%2e%2e/secret.png",
        "/data/local-files/?d=/etc/passwd",
        "/data/local-files/?d=../images-2/x.png",
        "/data/local-files/?d=x%00.png",
        "/data/upload/../../x.png",
        "../x.png",
    ],
)
def test_no_reference_leaves_the_root(reference: str) -> None:
    with pytest.raises(AnnotationError, match="outside"):
        resolve_picture(reference, ROOT)


def test_a_local_file_address_without_a_file_is_refused() -> None:
    with pytest.raises(AnnotationError, match="names no single file"):
        resolve_picture("/data/local-files/?e=x.png", ROOT)


def test_addresses_and_server_names_are_told_apart() -> None:
    assert is_elsewhere("https://host/x.png")
    assert not is_elsewhere("gen/x.png")
    assert is_on_server("/data/upload/3/x.png")
    assert not is_on_server("/database/x.png")
