import json
from importlib import metadata
from pathlib import Path

import pytest

from beholder.errors import ConfigError, DataError, MissingDependencyError
from beholder.prompt_sets import load_prompts

RECORDS = [
    {
        "prompt_en": "a red bicycle",
        "dimension": ["color"],
        "auxiliary_info": {"color": {"color": "red"}},
    },
    {"prompt_en": "an alley", "dimension": ["scene", "background_consistency"]},
    {"prompt_en": "oil painting", "dimension": ["appearance_style"]},
    {"prompt_en": "oil painting", "dimension": ["overall_consistency", "imaging_quality"]},
]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages that holds vbench as its wheel lays it out."""
    told = tmp_path / "vbench-0.1.5.dist-info" / "METADATA"
    told.parent.mkdir()
    told.write_text("Metadata-Version: 2.1\nName: vbench\nVersion: 0.1.5\n")
    package = tmp_path / "vbench"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "VBench_full_info.json").write_text(json.dumps(RECORDS))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("site")
def test_prompts_come_from_the_package_without_importing_it() -> None:
    found = load_prompts("vbench")
    assert [(row.prompt, row.category) for row in found] == [
        ("a red bicycle", "color"),
        ("an alley", "scene"),
        ("oil painting", "appearance_style"),
    ]
    assert found.duplicates == 1
    assert found[0].further["auxiliary_info"] == {"color": {"color": "red"}}
    assert found[1].further["dimension"] == ["scene", "background_consistency"]


@pytest.mark.usefixtures("site")
def test_a_dimension_has_all_prompts_that_name_it() -> None:
    found = load_prompts("vbench:imaging_quality")
    assert [(row.prompt, row.category) for row in found] == [("oil painting", "imaging_quality")]
    with pytest.raises(ConfigError, match=r"no dimension 'colour'; known: color, scene"):
        load_prompts("vbench:colour")


def test_a_package_without_the_file_is_told(site: Path) -> None:
    (site / "vbench" / "VBench_full_info.json").unlink()
    with pytest.raises(DataError, match=r"vbench 0\.1\.5 has no vbench/VBench_full_info"):
        load_prompts("vbench")


def test_without_the_package_the_line_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(MissingDependencyError, match="pip install --no-deps vbench"):
        load_prompts("vbench")
