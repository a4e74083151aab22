import threading
from pathlib import Path

import pytest

from beholder.annotation.server.install import find_executable, last_line, release_of
from beholder.errors import AnnotationError
from tests.annotation.server.programs import installing_python, label_studio

WORKS = 'cd "$(dirname "$0")" && touch label-studio && chmod +x label-studio && echo x >> ../runs'
FAILS = "echo Collecting; echo 'ERROR: no matching distribution' >&2; exit 1"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BEHOLDER_LABEL_STUDIO", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "beholder"


def use(monkeypatch: pytest.MonkeyPatch, python: Path) -> None:
    monkeypatch.setattr("sys.executable", str(python))


def test_a_given_program_comes_before_the_named_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    given = label_studio(tmp_path / "given", release="1.23.7")
    named = label_studio(tmp_path / "named")
    monkeypatch.setenv("BEHOLDER_LABEL_STUDIO", str(named))
    assert find_executable(given, said.append) == (given, "1.23.7")
    assert find_executable(None, said.append) == (named, "1.23.2")
    assert said == []


def test_a_link_to_a_program_is_followed_to_its_python(tmp_path: Path) -> None:
    link = tmp_path / "label-studio"
    link.symlink_to(label_studio(tmp_path / "environment"))
    assert release_of(link) == "1.23.2"


@pytest.mark.parametrize("release", ["1.22.0", "1.24.0", "2.0.0"])
def test_another_release_is_named_beside_what_is_expected(
    tmp_path: Path, release: str, said: list[str]
) -> None:
    program = label_studio(tmp_path, release=release)
    with pytest.raises(AnnotationError, match=rf"is Label Studio {release}; expected 1\.23\.x"):
        find_executable(program, said.append)


def test_what_is_no_label_studio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "label-studio").touch(mode=0o755)  # no python beside it
    unreadable = label_studio(tmp_path / "a")
    unreadable.chmod(0o644)
    broken = label_studio(tmp_path / "b")
    (tmp_path / "b" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    for path in (tmp_path / "label-studio", unreadable, broken, tmp_path / "missing", tmp_path):
        with pytest.raises(AnnotationError, match="is no label-studio of a virtual environment"):
            release_of(path)


def test_the_first_use_installs_and_says_so_and_the_next_does_not(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    use(monkeypatch, installing_python(tmp_path / "python", pip=WORKS))
    home = cache / "label-studio-1.23.2"
    for _ in range(2):
        assert find_executable(None, said.append) == (home / "bin" / "label-studio", "1.23.2")
    assert said == [f"installing Label Studio 1.23.2 into {home} (once; about 1 GB, some minutes)"]
    assert (home / "runs").read_text() == "x\n"


def test_a_failed_installation_is_one_line_and_is_never_used(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    use(monkeypatch, installing_python(tmp_path / "python", pip=FAILS))
    with pytest.raises(AnnotationError, match=r"failed: ERROR: no matching distribution$"):
        find_executable(None, said.append)
    use(monkeypatch, installing_python(tmp_path / "python", pip=WORKS))
    assert find_executable(None, said.append)[1] == "1.23.2"
    assert len(said) == 2


def test_a_half_made_environment_is_made_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    half = label_studio(cache / "label-studio-1.23.2")
    (half.parent / "left-over").touch()
    use(monkeypatch, installing_python(tmp_path / "python", pip=WORKS))
    find_executable(None, said.append)
    assert len(said) == 1
    assert not (half.parent / "left-over").exists()


def test_an_environment_whose_python_is_gone_is_made_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    use(monkeypatch, installing_python(tmp_path / "python", pip=WORKS))
    program, _ = find_executable(None, said.append)
    (program.parent / "python").unlink()
    (program.parent / "python").symlink_to(tmp_path / "an-upgraded-python")
    assert find_executable(None, said.append) == (program, "1.23.2")
    assert len(said) == 2


def test_two_at_once_install_once(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    use(monkeypatch, installing_python(tmp_path / "python", pip=f"sleep 0.2; {WORKS}"))
    threads = [threading.Thread(target=find_executable, args=(None, said.append)) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1
    assert (cache / "label-studio-1.23.2" / "runs").read_text() == "x\n"


def test_the_last_line_is_the_last_that_says_something() -> None:
    assert last_line("Traceback\n  OSError: no\n\n  \n") == "OSError: no"
    assert last_line("\n") == "it said nothing"
    assert len(last_line("x" * 500)) == 200
