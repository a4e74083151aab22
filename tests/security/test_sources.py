"""What the sources never do, by their syntax trees; each exception has its reason."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "beholder").rglob("*.py"))

Keywords = dict[str, ast.expr]
"""Of a call, by name."""

RUNS_CODE = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open"),
    *("torch.load", "torch.hub.load", "torch.package.PackageImporter", "joblib.load"),
    *("pd.read_pickle", "pandas.read_pickle", "code.interact", "builtins.eval"),
    *("yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "yaml.Loader", "yaml.UnsafeLoader"),
}
OWN_PROCESSES = {
    "rewards/sharded/channel.py": "a driver and the workers that it started, through their pipes",
    "rewards/sharded/ray.py": "a driver and its own Ray cluster, whose messages are pickles anyway",
    "rewards/sharded/ray_actor.py": "likewise",
}
"""Where pickles are read: what this program itself wrote, and no file or socket of others."""

MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "xmlrpc", "telnetlib"}
NAMES_MODULES = {
    "__init__.py": "a constant table of names",
    "annotation/forms/form.py": "the folder's own modules, by a name that was looked up",
    "annotation/sources/__init__.py": "likewise",
    "eval/extractors/__init__.py": "likewise",
    "eval/measures/__init__.py": "likewise",
    "prompt_sets/__init__.py": "likewise",
    "rewards/_convert.py": "likewise",
    "rewards/_towers/__init__.py": "likewise",
    "rewards/sharded/running.py": "likewise",
    "training/algorithms/__init__.py": "likewise",
    "rewards/__init__.py": "module:Class is code that its user chose",
    "eval/extractors/custom.py": "package.module:function, likewise",
    "training/_pipeline/loading.py": "module:function, likewise",
    "_verbs/networks.py": "module:function, likewise",
    "_verbs/tracking.py": "a constant name",
    "demo/uploads.py": "likewise",
    "training/adapters.py": "likewise",
}


@cache
def nodes() -> list[tuple[str, ast.Call | ast.Import | ast.ImportFrom]]:
    """Each file's calls and imports."""
    return [
        (str(path.relative_to(ROOT / "beholder")), node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call | ast.Import | ast.ImportFrom)
    ]


def called(node: ast.expr) -> str:
    """A function as it is written, such as "yaml.load"; what is no name is left out."""
    if isinstance(node, ast.Attribute):
        return f"{called(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def found(wrong: Callable[[str, Keywords], bool]) -> list[str]:
    """Where there is such a call, as "room/file.py: function"."""
    return [
        f"{place}: {called(node.func)}"
        for place, node in nodes()
        if isinstance(node, ast.Call)
        and wrong(called(node.func), {k.arg: k.value for k in node.keywords if k.arg})
    ]


def imported() -> Iterator[tuple[str, str]]:
    """Each file with each module that it imports."""
    for place, node in nodes():
        if isinstance(node, ast.Import):
            yield from ((place, one.name) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((place, f"{node.module}.{one.name}") for one in node.names)


def says(given: Keywords, keyword: str, expected: str) -> bool:
    """Whether a keyword has a value, as it is written."""
    return keyword in given and ast.unparse(given[keyword]) == expected


def test_nothing_is_evaluated_or_unpickled_but_between_own_processes() -> None:
    places = {each.partition(":")[0] for each in found(lambda name, _: name in RUNS_CODE)}
    assert sorted(places) == sorted(OWN_PROCESSES)


def test_no_module_that_runs_what_it_reads_is_imported() -> None:
    named = [each for each in imported() if each[1].partition(".")[0] in MODULES]
    places = {place for place, module in named if module != "pickle.UnpicklingError"}
    assert sorted(places) == sorted(OWN_PROCESSES)
    xml = [each for each in imported() if each[1].startswith(("xml.", "lxml", "bs4"))]
    assert xml in ([], [("serving/_label_studio/layout.py", "xml.parsers.expat")]), (
        "one that nests nothing"
    )


def test_torchscript_which_is_a_program_is_loaded_in_one_place_that_says_so() -> None:
    assert found(lambda name, _: name == "torch.jit.load") == [
        "eval/extractors/_torchscript.py: torch.jit.load"
    ]


def test_arrays_are_never_unpickled() -> None:
    loads = {"np.load", "numpy.load", "np.lib.format.read_array"}
    assert not found(lambda name, given: name in loads and not says(given, "allow_pickle", "False"))


def test_yaml_is_read_by_the_strict_loader_or_by_the_safe_one() -> None:
    assert found(lambda name, _: name == "yaml.load") == ["configs/_load.py: yaml.load"]


def test_no_shell_is_started_and_no_certificate_goes_unchecked() -> None:
    assert found(lambda _, given: "shell" in given) == []
    off = found(lambda _, given: any(says(given, k, "False") for k in ("verify", "verify_ssl")))
    assert off == []
    unchecked = ("ssl._create_unverified_context", "ssl._create_default_https_context")
    assert found(lambda name, _: name in unchecked) == []


def test_archives_are_never_unpacked_and_temporary_names_never_guessed() -> None:
    ends = (".extractall", ".unpack_archive", ".mktemp")
    assert found(lambda name, _: name.endswith(ends) or name == "mktemp") == []
    assert not found(lambda name, _: name.endswith(".extract") and "archive" in name.lower())


def test_pickers_of_classes_never_run_code_of_a_repository() -> None:
    pickers = ("AutoModel", "AutoConfig", "AutoTokenizer", "AutoProcessor", "AutoImageProcessor")
    loads = tuple(f"{kind}.{how}" for kind in pickers for how in ("from_pretrained", "from_config"))
    loose = found(
        lambda name, given: name.endswith(loads) and not says(given, "trust_remote_code", "False")
    )
    assert loose == ["_verbs/networks.py: transformers.AutoConfig.from_pretrained"], (
        "whose default is False, and which its user may set"
    )
    assert found(lambda _, given: says(given, "trust_remote_code", "True")) == []
    assert found(lambda _, given: "allow_all_kernels" in given) == []


def test_modules_are_chosen_by_name_only_where_a_user_may() -> None:
    places = {each.partition(":")[0] for each in found(lambda n, _: n.endswith("import_module"))}
    assert sorted(places) == sorted(NAMES_MODULES)


def test_pictures_are_opened_by_the_formats_that_are_allowed() -> None:
    opened = found(lambda name, given: name == "Image.open" and "formats" not in given)
    assert opened == [
        "annotation/sources/_scenes/effects.py: Image.open",  # what was encoded a line before
        "quickstart/degrade.py: Image.open",  # likewise
        "quickstart/painter.py: Image.open",  # what the quickstart itself drew
        "quickstart/scenes.py: Image.open",  # photographs of installed packages
    ]


def test_published_files_are_fetched_by_revision() -> None:
    """A call by keyword; the folders of rewards on the hub are checked by their own sha256."""
    assert not found(lambda name, given: name == "hf_hub_download" and "revision" not in given)


def test_the_search_finds_what_it_looks_for() -> None:
    text = "import pickle\nx = a.b(c)[0].load(shell=True)\ntorch.load(f)\neval('1')"
    made = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert {called(node.func) for node in made} == {".load", "a.b", "torch.load", "eval"}
    assert len(found(lambda *_: True)) > 10_000
    assert ("rewards/sharded/channel.py", "pickle") in list(imported())
