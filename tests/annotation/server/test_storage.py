from pathlib import Path

import pytest

from beholder.annotation.project import Project
from beholder.annotation.server.storage import storage_of
from beholder.errors import AnnotationError
from tests.annotation.pictures import save_picture
from tests.annotation.server.memory import Memory


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(folder=tmp_path / "judging", template="pairwise", title="Foxes", uid="u1")
    for seed in range(60):
        save_picture(made.media / f"{seed}.png", seed)
    return made


def serve(spec: str, project: Project, memory: Memory, count: int = 3) -> dict[str, str]:
    done: list[int] = []
    files = [f"{k}.png" for k in range(count)]
    address = storage_of(spec, memory.connection(), project).serve(files, 7, done.append)
    assert sum(done) == count
    return dict(address)


def test_a_shared_folder_holds_copies_and_is_connected_once(
    project: Project, tmp_path: Path
) -> None:
    memory = Memory()
    address = serve(f"shared:{tmp_path / 'files'}", project, memory)
    serve(f"shared:{tmp_path / 'files'}", project, memory)
    assert address["1.png"] == "/data/local-files/?d=u1/1.png"
    copy = tmp_path / "files" / "u1" / "1.png"
    assert copy.read_bytes() == (project.media / "1.png").read_bytes()
    assert not copy.is_symlink()
    (folder,) = memory.folders
    assert (folder.project, folder.path) == (7, str(copy.parent))


def test_a_folder_that_cannot_be_written_is_one_line(project: Project, tmp_path: Path) -> None:
    (tmp_path / "files").write_text("no folder")
    with pytest.raises(AnnotationError, match="must be the server's folder of local files"):
        serve(f"shared:{tmp_path / 'files'}", project, Memory())


def test_uploads_go_to_a_project_of_their_own_and_only_once(project: Project) -> None:
    memory = Memory(files={1: []})
    address = serve("upload", project, memory, count=60)
    assert memory.projects[1]["description"] == "beholder:u1:pictures"
    assert address["59.png"] == "/data/upload/1/abcd1234-59.png"
    assert serve("upload", project, memory, count=60) == address
    assert len(memory.files[1]) == 60
    assert len(memory.projects) == 1


def test_pictures_that_somebody_else_serves_are_only_named(project: Project) -> None:
    assert serve("https://host/media/", project, Memory())["0.png"] == "https://host/media/0.png"


@pytest.mark.parametrize("spec", ["", "shared:", "ftp://host", "somewhere"])
def test_another_place_is_refused(spec: str, project: Project) -> None:
    with pytest.raises(AnnotationError, match="expected upload, shared:FOLDER or an address"):
        serve(spec, project, Memory())
