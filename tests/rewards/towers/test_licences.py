from pathlib import Path
from typing import Any

import open_clip
import pytest

from beholder.rewards._towers._licences import (
    UNKNOWN,
    Licence,
    hub_name,
    licences_begun_with,
    repository_licence,
    strictest,
    tag_licence,
)


@pytest.mark.parametrize(
    ("tag", "licence"),
    [
        ("openai", "mit"),
        ("laion2b_s34b_b79k", "mit"),
        ("laion400m_e32", "mit"),
        ("datacomp_xl_s13b_b90k", "mit"),
        ("webli", "apache-2.0"),
        ("dfn5b", "apple-amlr"),
        ("dfn2b_s39b", "apple-amlr"),
        ("metaclip_fullcc", "cc-by-nc-4.0"),
        ("laion2b", UNKNOWN),
        ("v1", UNKNOWN),
    ],
)
def test_a_tag_has_the_licence_of_its_page(tag: str, licence: str) -> None:
    assert tag_licence(tag) == licence


def test_no_tag_is_said_to_be_free_whose_repository_has_another_owner() -> None:
    """Of open_clip's own list: a licence by tag is that of the repository, if both are known."""
    for name, tag in open_clip.list_pretrained():
        repository = (open_clip.get_pretrained_cfg(name, tag).get("hf_hub") or "").rstrip("/")
        by_page = repository_licence(repository)
        if UNKNOWN not in {by_page, tag_licence(tag)}:
            assert tag_licence(tag) == by_page, (name, tag, repository)
        if repository and tag_licence(tag) == "mit":
            assert repository.startswith(("laion/", "timm/")), (name, tag, repository)


@pytest.mark.parametrize(
    ("repository", "licence"),
    [
        ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "mit"),
        ("google/siglip2-base-patch16-224", "apache-2.0"),
        ("google/siglip-base-patch16-224", "apache-2.0"),
        ("timm/ViT-B-16-SigLIP", "apache-2.0"),
        ("facebook/metaclip-h14-fullcc2.5b", "cc-by-nc-4.0"),
        ("apple/DFN5B-CLIP-ViT-H-14", "apple-amlr"),
        ("somebody/clip-of-mine", UNKNOWN),
    ],
)
def test_a_repository_has_the_licence_of_its_page(repository: str, licence: str) -> None:
    assert repository_licence(repository) == licence


OPEN_CLIP = {"kind": "open_clip", "name": "ViT-B-32"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (OPEN_CLIP, []),
        ({**OPEN_CLIP, "pretrained": None}, []),
        ({**OPEN_CLIP, "pretrained": "openai"}, [Licence("open_clip ViT-B-32, openai", "mit")]),
        (
            {**OPEN_CLIP, "pretrained": "/data/me/own.pt"},
            [Licence("open_clip ViT-B-32, own.pt", UNKNOWN)],
        ),
        ({"kind": "clip", "text": {"layers": 2}}, []),
        (
            {"towers": {**OPEN_CLIP, "pretrained": "dfn5b"}, "threshold": 0.3},
            [Licence("open_clip ViT-B-32, dfn5b", "apple-amlr")],
        ),
        (
            {"kind": "timm_text", "image": {"weights": "/x/net.bin"}, "text": {"folder": "a/b"}},
            [Licence("image, net.bin", UNKNOWN), Licence("text, a/b", UNKNOWN)],
        ),
        (
            {"t5": {"folder": "google/t5-v1_1-base"}},
            [Licence("t5, google/t5-v1_1-base", "apache-2.0")],
        ),
    ],
)
def test_options_tell_what_weights_they_began_with(
    options: dict[str, Any], found: list[Licence]
) -> None:
    assert licences_begun_with(options) == found


def test_a_folder_of_this_machine_is_no_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "google" / "siglip-mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert licences_begun_with({"text": {"folder": "google/siglip-mine"}}) == [
        Licence("text, siglip-mine", UNKNOWN)
    ]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["mit", "apache-2.0"], "apache-2.0"),
        (["cc-by-nc-4.0", "mit"], "cc-by-nc-4.0"),
        (["apple-amlr", "cc-by-nc-4.0"], "apple-amlr"),
        (["mit", UNKNOWN], UNKNOWN),
        (["mit", "my-own"], UNKNOWN),
        ([], None),
    ],
)
def test_the_strictest_licence_binds(names: list[str], found: str | None) -> None:
    assert strictest(names) == found


def test_spdx_names_become_the_hubs_and_others_are_unknown() -> None:
    assert [hub_name(n) for n in ("MIT", "Apache-2.0", "CC-BY-NC-4.0")] == [
        "mit",
        "apache-2.0",
        "cc-by-nc-4.0",
    ]
    assert hub_name("AGPL-3.0-only") == "agpl-3.0"
    assert hub_name("Apache-2.0 AND LicenseRef-LIVE") == UNKNOWN


def test_what_is_unknown_says_where_to_look() -> None:
    assert Licence("x", UNKNOWN).told == "unknown: see the weights' own page"
    assert Licence("x", "mit").told == "mit"
