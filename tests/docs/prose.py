"""What pages say outside their blocks: code in a line, links, headings."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.docs.blocks import ROOT
from tests.docs.checking import command_line, program_faults, verb_fault
from tests.docs.commands import WORD

FOREIGN = {
    "--use_fsdp": "accelerate",
    "--fsdp_version": "accelerate",
    "--num_processes": "accelerate",
    "--cpu": "accelerate",
    "--nproc_per_node": "torchrun",
    "--nproc-per-node": "torchrun",
    "--no-python": "torchrun",
    "--array": "SLURM",
    "--no-deps": "pip",
    "--peers-python": "benchmarks.serving",
}
"""Options of other programs that pages speak of."""

_FENCED = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}).*?^ *(?P=fence)`*~* *$", re.M | re.S)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_DOTTED = re.compile(r"beholder(\.\w+)+")
_MODULE = re.compile(r"python -m (benchmarks(?:\.\w+)*)")
_FILE = re.compile(r"(?:beholder|tests|benchmarks|docs|requirements)/[\w./-]*\w(?:\.\w+|/)")
_LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\]\([^)]*\))*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)"
)
_DEFINED = re.compile(r"^ {0,3}\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
_SOURCE = re.compile(r"(?:src|href)=\"([^\"]+)\"")


def prose(text: str) -> str:
    """The page without its blocks and comments, of as many lines."""
    for pattern in (_FENCED, _COMMENT):
        text = pattern.sub(lambda found: "\n" * found[0].count("\n"), text)
    return text


def codes(text: str) -> list[tuple[int, str]]:
    """Line and content of each code in a line."""
    plain = prose(text)
    return [(line_of(plain, m.start()), " ".join(m[2].split())) for m in _CODE.finditer(plain)]


def line_of(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def code_faults(code: str) -> Iterator[str]:
    """Verbs, options, modules, names and files that a code in a line names and are not there."""
    if code.startswith("beholder ") and "…" not in code:
        wrong = verb_fault([word.strip("'\"") for word in WORD.findall(code)[1:]])
        yield from [wrong] if wrong and not wrong.startswith(("missing", "Usage")) else []
    else:
        unknown = set(_OPTION.findall(code)) - options() - FOREIGN.keys()
        yield from (f"no verb has the option {option}" for option in sorted(unknown))
    yield from _missing(code)


def _missing(code: str) -> Iterator[str]:
    if dotted := _DOTTED.match(code):
        yield from program_faults(f"import beholder\n{dotted[0]}")
    for module in _MODULE.findall(code):
        place = ROOT / module.replace(".", "/")
        if not place.is_dir() and not place.with_suffix(".py").is_file():
            yield f"there is no module {module}"
    if (path := _FILE.fullmatch(code)) and not (ROOT / path[0]).exists():
        yield f"there is no {code}"


@cache
def options() -> set[str]:
    """The options of all verbs."""
    found: set[str] = set()
    waiting: list[Any] = [command_line()]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        found |= {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return found | {"--help"}


def links(text: str) -> list[tuple[int, str]]:
    """Line and target of each link and picture."""
    plain = prose(text)
    found = [
        (line_of(plain, m.start()), m[1])
        for pattern in (_LINK, _DEFINED, _SOURCE)
        for m in pattern.finditer(_CODE.sub(lambda code: "x" * len(code[0]), plain))
    ]
    return [*found, *((line, to) for line, to in _nested(plain))]


def _nested(plain: str) -> Iterator[tuple[int, str]]:
    """The pictures inside links, as badges are."""
    for outer in re.finditer(r"\[!\[[^\]]*\]\(([^)\s]+)\)\]\(", plain):
        yield line_of(plain, outer.start()), outer[1]


@cache
def anchors(path: Path) -> set[str]:
    """What can be linked to in a page, as GitHub names its headings."""
    found: set[str] = set()
    for title in _HEADING.findall(prose(path.read_text(encoding="utf-8"))):
        name = slug(title)
        numbered = (f"{name}-{k}" for k in range(1, 100))
        found.add(next(n for n in (name, *numbered) if n not in found))
    return found


def slug(title: str) -> str:
    """A heading as an address: small letters, no punctuation, hyphens for spaces."""
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", title)
    kept = re.sub(r"[^\w\- ]", "", plain.strip().lower())
    return kept.replace(" ", "-")


def link_fault(page: str, target: str) -> str:
    """Why a link leads nowhere; an address of another site has to look like one."""
    if re.match(r"[a-z][a-z+.-]*:", target):
        well_formed = re.fullmatch(r"https://[\w.-]+\.[a-z]{2,}(/\S*)?|mailto:\S+@\S+", target)
        return "" if well_formed else f"{target} is no address: https://… or mailto:…"
    if "…" in target:
        return f"{target} is no place"
    name, _, anchor = target.partition("#")
    path = (ROOT / page).parent / name if name else ROOT / page
    if not path.exists():
        return f"{target}: there is no {name}"
    if anchor and path.suffix == ".md" and anchor not in anchors(path.resolve()):
        return f"{target}: {path.name} has no heading {anchor!r}"
    return ""
