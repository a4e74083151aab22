"""The server asks only who it may, at the addresses that were checked, and no longer than it must.

`Web` stands for the internet: what it was asked, and at which IP addresses.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from beholder.errors import DataError
from beholder.images import Limits
from beholder.serving._fetching.answers import Opened, Question
from beholder.serving.fetching import Fetcher, resolved
from beholder.serving.items import Fault, Picture
from beholder.serving.room import Room
from beholder.serving.settings import Access, RequestLimits

PUBLIC = "93.184.216.34"
LIMITS = RequestLimits(pictures=Limits(bytes=10))
USUAL = Access(urls=("cdn.example.org", "*.pictures.example:8443"))
STUDIO = "http://studio.internal:8080"
OWN = Access(urls=("cdn.example.org",), label_studio=STUDIO, label_studio_token="legacy-token")


@dataclass
class Page:
    body: bytes = b"picture"
    status: int = 200
    location: str = ""
    length: int = 0
    pause: float = 0.0


@dataclass
class Web:
    pages: Mapping[str, Page] = field(default_factory=dict)
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> list[str]:
        self.looked_up.append(host)
        if host not in self.names:
            raise OSError("no such host")
        return list(self.names[host])

    def ask(
        self, question: Question, trusted: ssl.SSLContext
    ) -> AbstractAsyncContextManager[Opened]:
        self.asked.append(question)
        return self._answer(self.pages[str(question.address)])

    @asynccontextmanager
    async def _answer(self, page: Page) -> AsyncIterator[Opened]:
        async def chunks() -> AsyncIterator[bytes]:
            for k in range(0, len(page.body), 4):
                await asyncio.sleep(page.pause)
                yield page.body[k : k + 4]

        yield Opened(
            status=page.status, location=page.location, length=page.length, chunks=chunks()
        )

    def fetch(
        self,
        url: str,
        access: Access = USUAL,
        seconds: float = 5,
    ) -> Picture | Fault:
        fetcher = Fetcher(access, LIMITS, resolve=self.resolve, ask=self.ask, seconds=seconds)
        return asyncio.run(fetcher.fetch(url))


def web(pages: Mapping[str, Page] | None = None, **names: Sequence[str]) -> Web:
    known = {"cdn.example.org": [PUBLIC], "studio.internal": ["10.0.0.5"]}
    usual = {"https://cdn.example.org/a.png": Page()}
    return Web(pages or usual, known | {k.replace("_", "."): v for k, v in names.items()})


def refusal(found: Picture | Fault, code: str = "url") -> str:
    assert isinstance(found, Fault)
    assert found.code == code
    return found.message


def test_a_picture_of_an_allowed_host_comes_from_the_address_that_was_checked() -> None:
    internet = web()
    assert internet.fetch("https://cdn.example.org/a.png#part") == Picture(data=b"picture")
    (question,) = internet.asked
    assert list(question.hosts) == [PUBLIC]
    assert question.headers == {}
    assert internet.looked_up == ["cdn.example.org"]


def test_nothing_is_asked_unless_hosts_are_named() -> None:
    internet = web()
    said = refusal(internet.fetch("https://cdn.example.org/a.png", Access()))
    assert "--allow-urls" in said
    assert not internet.looked_up


@pytest.mark.parametrize(
    "url",
    [
        *["https://evil.example/a.png", "https://cdn.example.org.evil.example/a.png"],
        *[
            "https://cdn.example.org:8443/a.png",
            "https://cdn.example.org:22/",
            "http://xcdn.example.org/",
        ],
        *["https://cdn.example.org@evil.example/a.png", "https://evil.example#cdn.example.org"],
        *["https://pictures.example:8443/", "https://a.pictures.example/", "file:///etc/passwd"],
        *[
            "http://169.254.169.254/latest/meta-data/",
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://0x7f.1/",
        ],
        *[
            "http://localhost/",
            "/etc/passwd",
            "data/upload/1.png",
            "ftp://cdn.example.org/a.png",
            "",
        ],
    ],
)
def test_others_are_not_even_looked_up(url: str) -> None:
    internet = web()
    refusal(internet.fetch(url))
    assert not internet.looked_up
    assert not internet.asked


@pytest.mark.parametrize(
    "addresses",
    [
        *[["127.0.0.1"], ["10.1.2.3"], ["169.254.169.254"], ["100.64.0.1"], ["0.0.0.0"], ["::1"]],
        *[["fd00:ec2::254"], ["fe80::1%eth0"], ["::ffff:93.184.216.34"], ["64:ff9b::5db8:d822"]],
        *[["2002:5db8:d822::1"], ["224.0.0.1"], [PUBLIC, "192.168.0.1"], ["not an address"], []],
    ],
)
def test_a_name_that_leads_inside_is_not_asked(addresses: list[str]) -> None:
    internet = web(cdn_example_org=addresses)
    refusal(internet.fetch("https://cdn.example.org/a.png"))
    assert not internet.asked


def test_an_address_that_is_named_itself_must_be_public_all_the_same() -> None:
    inside = Access(urls=("10.0.0.1", "[::1]", PUBLIC))
    internet = web({f"http://{PUBLIC}/": Page()})
    for host, url in (("10.0.0.1", "http://10.0.0.1/"), ("::1", "http://[::1]/")):
        said = refusal(internet.fetch(url, inside))
        assert said == f"its host {host} is not at a public address"
    assert internet.fetch(f"http://{PUBLIC}/", inside) == Picture(data=b"picture")
    assert not internet.looked_up


def test_a_name_is_looked_up_once_so_that_a_second_answer_changes_nothing() -> None:
    """DNS rebinding: a name server that says a public address first and a private one next."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    internet = web()

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    fetcher = Fetcher(Access(urls=("cdn.example.org",)), LIMITS, resolve=resolve, ask=internet.ask)
    asyncio.run(fetcher.fetch("https://cdn.example.org/a.png"))
    assert [list(question.hosts) for question in internet.asked] == [[PUBLIC]]
    assert next(answers) == ["127.0.0.1"]


def moved(*locations: str) -> dict[str, Page]:
    """Pages that lead on, one after the other, to a picture."""
    addresses = ["https://cdn.example.org/0", *locations]
    pages = {a: Page(status=302, location=b) for a, b in zip(addresses, locations, strict=False)}
    return pages | {addresses[-1]: Page()}


def test_redirects_are_followed_and_looked_up_anew() -> None:
    internet = web(moved("http://cdn.example.org/1", "https://a.pictures.example:8443/2"))
    internet.names = {**internet.names, "a.pictures.example": ["2606:2800:21f:cb07::1"]}
    assert internet.fetch("https://cdn.example.org/0") == Picture(data=b"picture")
    assert [list(q.hosts) for q in internet.asked] == [
        [PUBLIC],
        [PUBLIC],
        ["2606:2800:21f:cb07::1"],
    ]


@pytest.mark.parametrize(
    "location",
    [
        *[
            "http://127.0.0.1/",
            "http://evil.example/",
            "//evil.example/",
            "https://cdn.example.org:81/",
        ],
        *[
            "file:///etc/passwd",
            "http://me:pass@cdn.example.org/",
            "http://[fe80::1%25e]/",
            "http://127.1",
        ],
        f"{STUDIO}/data/upload/1.png",
    ],
)
def test_a_redirect_is_refused_as_any_address(location: str) -> None:
    internet = web({"https://cdn.example.org/0": Page(status=302, location=location)})
    refusal(internet.fetch("https://cdn.example.org/0", OWN))
    assert len(internet.asked) == 1


def test_a_name_that_turns_inside_between_two_redirects_is_refused() -> None:
    internet = web(moved("https://cdn.example.org/1"))
    first = internet.ask

    def ask(q: Question, trusted: ssl.SSLContext) -> AbstractAsyncContextManager[Opened]:
        internet.names = {"cdn.example.org": ["127.0.0.1"]}
        return first(q, trusted)

    fetcher = Fetcher(Access(urls=("cdn.example.org",)), LIMITS, resolve=internet.resolve, ask=ask)
    refusal(asyncio.run(fetcher.fetch("https://cdn.example.org/0")))
    assert len(internet.asked) == 1


def test_a_loop_of_redirects_ends_after_three() -> None:
    internet = web({"https://cdn.example.org/0": Page(status=301, location="/0")})
    assert "more than 3" in refusal(internet.fetch("https://cdn.example.org/0"))
    assert len(internet.asked) == 4


@pytest.mark.parametrize(
    "page",
    [Page(status=404), Page(status=500), Page(status=206), Page(status=302), Page(status=204)],
)
def test_an_answer_that_is_no_picture_is_said_by_its_status_alone(page: Page) -> None:
    internet = web({"https://cdn.example.org/a.png": page})
    assert str(page.status) in refusal(internet.fetch("https://cdn.example.org/a.png"))


@pytest.mark.parametrize(
    "page", [Page(b"a" * 11), Page(b"a" * 11, length=5), Page(length=11), Page(length=10**30)]
)
def test_bytes_are_counted_whatever_is_told(page: Page) -> None:
    internet = web({"https://cdn.example.org/a.png": page})
    assert "10" in refusal(internet.fetch("https://cdn.example.org/a.png"), "too-large")


def test_time_is_counted_over_all_so_that_drops_do_not_help() -> None:
    internet = web({"https://cdn.example.org/a.png": Page(b"a" * 10, pause=0.04)})
    said = refusal(internet.fetch("https://cdn.example.org/a.png", seconds=0.1))
    assert "0.1 seconds" in said


def test_a_name_server_that_never_answers_is_given_up() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return await asyncio.Future()

    fetcher = Fetcher(
        Access(urls=("cdn.example.org",)), LIMITS, resolve=resolve, ask=web().ask, seconds=0.02
    )
    refusal(asyncio.run(fetcher.fetch("https://cdn.example.org/a.png")))


def test_a_host_that_breaks_off_is_a_fault() -> None:
    @asynccontextmanager
    async def ask(question: Question, trusted: ssl.SSLContext) -> AsyncIterator[Opened]:
        raise DataError("broken")
        yield

    fetcher = Fetcher(Access(urls=("cdn.example.org",)), LIMITS, resolve=web().resolve, ask=ask)
    assert asyncio.run(fetcher.fetch("https://cdn.example.org/a.png")) == Fault("url", "broken")


def test_what_is_fetched_counts_as_what_the_request_holds() -> None:
    async def run() -> list[Picture | Fault]:
        room, internet = Room(1000), web()
        fetcher = Fetcher(
            Access(urls=("cdn.example.org",)), LIMITS, resolve=internet.resolve, ask=internet.ask
        )
        with room.held(20) as held:
            found = [await fetcher.fetch("https://cdn.example.org/a.png") for _ in range(3)]
            assert held.count == 18  # 7 + 7, and 4 of the third before it was too much
        assert room.taken == 0
        return found

    first, second, third = asyncio.run(run())
    assert first == second == Picture(data=b"picture")
    refusal(third, "too-large")


def test_label_studio_is_asked_with_its_token_at_a_private_address() -> None:
    internet = web({f"{STUDIO}/data/upload/1.png": Page()})
    assert internet.fetch(f"{STUDIO}/data/upload/1.png", OWN) == Picture(data=b"picture")
    (question,) = internet.asked
    assert list(question.hosts) == ["10.0.0.5"]
    assert question.headers == {"Authorization": "Token legacy-token"}
    assert "legacy-token" not in repr(question)


@pytest.mark.parametrize(
    "url",
    [
        *[
            f"{STUDIO}/api/projects",
            f"{STUDIO}/",
            f"{STUDIO}/user/login",
            f"{STUDIO}/data/../api/x",
        ],
        *[f"{STUDIO}/data/%2e%2e/api/token", "https://studio.internal:8080/data/1.png"],
        *["http://studio.internal/data/1.png", "http://10.0.0.5:8080/data/1.png"],
    ],
)
def test_but_only_for_its_pictures(url: str) -> None:
    internet = web()
    refusal(internet.fetch(url, OWN))
    assert not internet.asked


def test_its_token_goes_nowhere_else_and_nobody_leads_back_to_it() -> None:
    internet = web(
        {
            f"{STUDIO}/tasks/1/resolve/?fileuri=x": Page(
                status=303, location="https://cdn.example.org/0"
            ),
            "https://cdn.example.org/0": Page(status=302, location=f"{STUDIO}/data/upload/1.png"),
        }
    )
    refusal(internet.fetch(f"{STUDIO}/tasks/1/resolve/?fileuri=x", OWN))
    assert [q.headers for q in internet.asked] == [{"Authorization": "Token legacy-token"}, {}]


def test_a_personal_token_is_exchanged_once_for_one_of_minutes() -> None:
    access = Access(label_studio=STUDIO, label_studio_token="e30.e30.personal")
    internet = web(
        {
            f"{STUDIO}/api/token/refresh/": Page(json.dumps({"access": "e30.e30.short"}).encode()),
            f"{STUDIO}/data/1.png": Page(),
        }
    )

    async def twice() -> list[Picture | Fault]:
        fetcher = Fetcher(access, LIMITS, resolve=internet.resolve, ask=internet.ask)
        return [await fetcher.fetch(f"{STUDIO}/data/1.png") for _ in range(2)]

    assert asyncio.run(twice()) == [Picture(data=b"picture")] * 2
    exchange, *pictures = internet.asked
    assert json.loads(exchange.content or b"") == {"refresh": "e30.e30.personal"}
    assert [q.headers for q in pictures] == [{"Authorization": "Bearer e30.e30.short"}] * 2


def test_a_personal_token_that_is_refused_is_a_fault_without_it() -> None:
    access = Access(label_studio=STUDIO, label_studio_token="e30.e30.personal")
    internet = web({f"{STUDIO}/api/token/refresh/": Page(b"personal", status=401)})
    said = refusal(internet.fetch(f"{STUDIO}/data/1.png", access))
    assert "401" in said
    assert "personal" not in said


def test_the_resolver_of_the_machine_gives_each_address_once() -> None:
    assert asyncio.run(resolved("127.0.0.1", 80)) == ["127.0.0.1"]
    assert asyncio.run(resolved("2130706433", 80)) == ["127.0.0.1"]  # hence `is_name`
