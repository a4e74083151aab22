"""Worlds in which people are asked: two checkpoints, a Label Studio in memory, its answers."""

import csv
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from beholder._annotate import asking
from beholder.annotation.reading.label_studio_export import export_annotation, export_rating
from beholder.annotation.server import connection, local, pull
from beholder.types import ASPECTS, MAPS, RATED, Point, Rating
from tests.annotation.server.memory import Memory
from tests.docs.worlds import PROMPTS, Place, picture

PEOPLE = (11, 12, 13)
_COLUMNS = ("key", "image", "prompt", "model", "category")
_PICTURES = 12  # of each checkpoint
_ALL = ("out/early", "out/late", "out/latest")
_TIE = 0.05  # of likings, which lie between 0 and 1


def checkpoints(place: Place) -> None:
    """Twelve pictures each of out/early, out/late and out/latest; prompts.txt and manifest.csv."""
    rows = []
    for at, model in enumerate(("early", "late", "latest")):
        folder = place.folder / "out" / model
        folder.mkdir(parents=True)
        for number in range(_PICTURES):
            name = f"{number:02}.png"
            picture(100 * at + number).save(folder / name)
            prompt = f"{PROMPTS[number % len(PROMPTS)]}, number {number}"
            kind = "animals" if number % 2 else "things"
            rows.append((f"{model}-{number:02}", f"out/{model}/{name}", prompt, model, kind))
    with (place.folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_COLUMNS, *rows])
    prompts = "".join(f"{prompt}\n" for _, _, prompt, *_ in rows[:_PICTURES])
    (place.folder / "prompts.txt").write_text(prompts, encoding="utf-8")


def label_studio(place: Place) -> None:
    """`annotate up`, push, pull, next and down meet a server in memory; three people answer all.

    They do so just before each pull.
    """
    memory = Answered()
    server = SimpleNamespace(
        folder=place.folder / "label-studio",
        files=place.folder / "label-studio" / "files",
        url="http://127.0.0.1:8080",
        token="a-token-of-nobody",
        credentials=SimpleNamespace(email="owner@localhost"),
        pid=1,
        version="1.23.2",
    )
    server.files.mkdir(parents=True, exist_ok=True)
    place.patch.setattr(connection, "connect", lambda url, token: memory.connection())
    place.patch.setattr(local, "up", lambda folder, **options: server)
    place.patch.setattr(local, "down", lambda folder: True)
    place.patch.setattr(local.LocalServer, "read", staticmethod(lambda folder: server))
    place.patch.setattr(asking, "_again_and_again", lambda once, seconds: once())
    fetch: Callable[..., Any] = pull.pull

    def answered_first(*given: Any, **options: Any) -> Any:
        memory.answer_all()
        return fetch(*given, **options)

    place.patch.setattr(pull, "pull", answered_first)


class Answered(Memory):
    """A server on which three people, who mostly agree, answer what nobody answered yet."""

    def answer_all(self) -> None:
        for number, task in self.tasks.items():
            if not task["annotations"]:
                for person in PEOPLE:
                    self.answer(number, _answer(task["data"], person, 10 * number + person))

    def request(self, method: str, url: str, **content: Any) -> SimpleNamespace:
        if not url.endswith("api/invite"):
            return super().request(method, url, **content)
        told = SimpleNamespace(json=lambda: {"invite_url": "/user/signup/?token=abcd"})
        told.raise_for_status = lambda: told
        return told


def _answer(data: dict[str, Any], person: int, number: int) -> dict[str, object]:
    draw = np.random.default_rng([person, number])
    seconds = float(20 + 20 * draw.random())
    if "image" in data:
        rating = _rating(data, draw, seconds)
        return export_rating(rating, annotator=person, annotation_id=number)
    margin = _liking(data["image_left"]) - _liking(data["image_right"])
    answers = {aspect: _side(margin + 0.2 * draw.normal()) for aspect in ASPECTS}
    return export_annotation(answers, annotator=person, annotation_id=number, seconds=seconds)


def _side(margin: float) -> str:
    if abs(margin) < _TIE:
        return "tie"
    return "left" if margin > 0 else "right"


def _rating(data: dict[str, Any], draw: np.random.Generator, seconds: float) -> Rating:
    liking = _liking(data["image"])
    stars = {
        aspect: round(4 * min(1, max(0, liking + 0.1 * draw.normal()))) / 4 for aspect in RATED
    }
    first_word = (0, data["prompt"].index(" "))
    return Rating(
        key=data["task_key"],
        prompt=data["prompt"],
        image=data["image"],
        values=stars,
        points={kind: (Point(liking, 1 - liking),) for kind in MAPS} if liking < 0.5 else {},
        misaligned=(first_word,) if liking < 0.3 else (),
        seconds=seconds,
    )


def _liking(address: str) -> float:
    """What all people think of a picture, between 0 and 1."""
    return zlib.crc32(address.rpartition("/")[2].encode()) / 2**32


def judging(place: Place) -> None:
    """The project judging/, asked about the pictures of `checkpoints`, answered and pulled."""
    place.once("judging", lambda there: asked(there, *_ALL))


def judgements(place: Place) -> None:
    """The data set judgements/ that is made of the answers in `judging`."""

    def make(there: Place) -> None:
        asked(there, *_ALL)
        there.verb("annotate", "aggregate", "judging", "-o", "judgements")

    place.once("judgements", make)


def asked(there: Place, *words: str) -> None:
    """Ask about pictures of `checkpoints`, with further words for `push`, and pull the answers."""
    checkpoints(there)
    label_studio(there)
    there.verb("annotate", "push", *words, "--prompts", "prompts.txt", "-o", "judging")
    there.verb("annotate", "pull", "judging")
