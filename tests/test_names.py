"""Tests of names and places: no name for two things, no overfull folder, tests that name their module, no circle of imports."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "purgeengine"
TESTS = ROOT / "tests"
MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDER_MODULES_MAX = 16
"""The most modules in a folder, because more do not fit on a screen and are about more than one noun."""

CLASSES_TWICE: Mapping[str, str] = {}
"""Class names that stand for two things, each with the reason."""
FILES_TWICE: Mapping[str, str] = {
    "version.py": "the number, and the command that shows it, because a command's module has the name of the command",
    "schema.py": "a command's module has its name; in the ledger it is the schema of the database",
}
"""Names of module files that stand in two folders, each with the reason."""
TESTS_OF_NO_MODULE = {
    "cli/test_app_limit_told.py": "what progress, summary, status and report tell of a limit of the whole app",
    "cli/test_answers_cli.py": "whole commands against answers as they were captured",
    "cli/test_blame.py": "what all messages have in common, whoever says them",
    "cli/test_foreign_answers_cli.py": "whole commands against what is not Graph",
    "cli/test_input_told.py": "what plan, check and run all tell of an input",
    "cli/test_processes.py": "whole commands in processes of their own, with signals and lost streams",
    "cli/test_start.py": "what all commands import when they start",
    "clients/test_clients.py": "other people's clients against the simulated tenant",
    "json_output/test_outputs.py": "what all commands really print with --json",
    "json_output/test_schemas.py": "the schemas and the page that are made of all types",
    "ledgers/test_earlier_ledgers.py": "ledgers of earlier versions, through four commands",
    "pages/test_blocks.py": "the commands in the blocks of the pages",
    "pages/test_generated.py": "the generated parts of the pages",
    "pages/test_several_machines.py": "the recipes of docs/several-machines.md",
    "pages/test_site.py": "the built site",
    "test_architecture.py": "the map, docs/architecture.md",
    "test_fuzz_corpus.py": "what fuzzing has found, for all its targets",
    "test_hostile_input.py": "a table of hostile inputs, for all readers of input",
    "test_json_docs.py": "the commands of docs/json.md",
    "test_monitoring.py": "the page about monitoring, its dashboard and its alerts",
    "test_names.py": "names and places in the whole package",
    "test_packaging.py": "the wheel and what pyproject.toml asks for",
    "test_pages.py": "the pages of docs/",
    "test_secrets.py": "secrets in whatever the program writes",
}
"""Test files that are not about a single module, each with its subject."""
FOLDERS_IN_LAYERS = {
    (
        "purgeengine.cli",
        "purgeengine.cli.options",
    ): "what starts a command reads the options; a list of users may come from the settings, which lie below them",
    (
        "purgeengine.jobs",
        "purgeengine.jobs.reads",
    ): "a purge looks first, and everything that asks Graph needs `graph_endpoint`, which lies below both",
}
"""Folders with modules above and below a folder inside them, each with its reason: a layers contract in pyproject orders them."""
WHOLE_ENGINE = "simulation/"
"""The folder of tests that play whole runs in virtual time and are not about a single module."""


def parsed(path: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def shown(path: Path) -> str:
    """Return a module's path below the package."""
    return path.relative_to(PACKAGE).as_posix()


# --------------------------------------------------------------------------------------------------------------- names


def places_of_classes() -> dict[str, list[str]]:
    """Return each class name with the modules that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(shown(path))
    return found


def places_of_files() -> dict[str, list[str]]:
    """Return each name of a module file with its places."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        if path.stem not in ("__init__", "__main__"):
            found[path.name].append(shown(path))
    return found


@pytest.mark.parametrize(
    ("places", "allowed"), [(places_of_classes(), CLASSES_TWICE), (places_of_files(), FILES_TWICE)]
)
def test_no_name_stands_for_two_things(places: Mapping[str, list[str]], allowed: Mapping[str, str]) -> None:
    """No two classes and no two modules have the same name, except for listed ones, and every listed exception is needed."""
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert {name: where for name, where in twice.items() if name not in allowed} == {}
    assert set(allowed) - set(twice) == set()
    assert len(places) > 100  # so that the test cannot pass without looking at anything


def test_no_folder_holds_more_than_can_be_looked_over() -> None:
    """No folder has more modules than the limit; a fuller one should be split by noun."""
    counts: dict[str, int] = defaultdict(int)
    for path in MODULES:
        if path.name != "__init__.py":
            counts[shown(path.parent)] += 1
    assert {folder: count for folder, count in counts.items() if count > FOLDER_MODULES_MAX} == {}


# --------------------------------------------------------------------------------------------------------------- tests


def is_about_a_module(path: Path) -> bool:
    """Return True if ``test_x.py`` or ``test_x_aspect.py`` has a module or package ``x`` in the matching folder."""
    words = path.stem.removeprefix("test_").split("_")
    names = {"_".join(words[:count]) for count in range(1, len(words) + 1)}
    folder = path.parent.relative_to(TESTS)
    beside = (ROOT if folder.parts[:1] == ("benchmarks",) else PACKAGE) / folder
    return any((beside / f"{name}.py").is_file() or (beside / name / "__init__.py").is_file() for name in names)


def test_each_test_file_names_the_module_that_it_is_about() -> None:
    """Every test file has the name of its module, except for listed ones, and every listed exception is needed."""
    files = {path.relative_to(TESTS).as_posix(): path for path in TESTS.rglob("test_*.py")}
    unplaced = {name for name, path in files.items() if not (name.startswith(WHOLE_ENGINE) or is_about_a_module(path))}
    assert unplaced - set(TESTS_OF_NO_MODULE) == set()
    assert set(TESTS_OF_NO_MODULE) - unplaced == set()
    assert len(files) > 80


# -------------------------------------------------------------------------------------------------------------- circles


def name_of(path: Path) -> str:
    """Return a module's dotted name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in MODULES}


def imported(tree: ast.AST, *, typing_too: bool) -> Iterator[str]:
    """Yield the modules of the package that are imported anywhere in a module, also within functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not typing_too:
            for branch in node.orelse:
                yield from imported(branch, typing_too=typing_too)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in NAMES)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in NAMES else node.module
        else:
            yield from imported(node, typing_too=typing_too)


def graph(*, typing_too: bool) -> dict[str, set[str]]:
    """Return each module with the modules that it imports."""
    return {
        name: {other for other in imported(parsed(path), typing_too=typing_too) if other in NAMES and other != name}
        for name, path in NAMES.items()
    }


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one module, by Tarjan's algorithm."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        stack.append(name)
        for other in sorted(arrows[name]):
            if other not in number:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], number[other])
        if lowest[name] == number[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in sorted(arrows):
        if name not in number:
            visit(name)
    return found


@pytest.mark.parametrize("typing_too", [False, True], ids=["at run time", "for types too"])
def test_no_modules_import_each_other_in_a_circle(typing_too: bool) -> None:
    """No modules import each other in a circle, within functions too, with and without imports for type checkers."""
    arrows = graph(typing_too=typing_too)
    assert sum(map(len, arrows.values())) > 500
    assert circles(arrows) == []


def folder_of(name: str) -> str:
    """Return the folder of a module, as a dotted name."""
    return name.rpartition(".")[0]


def graph_of_folders(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return each folder with the folders that its modules import from.

    Two kinds of modules are left out, because the circles between modules and the layers of pyproject hold them. The ``__init__``
    of a package that offers names of the folders inside it is a door and not a part of its folder: it imports lazily, or for
    callers only. And the modules at the root lie at both ends: what everything may use, and the API that uses everything.
    """
    doors = {name for name, path in NAMES.items() if path.name == "__init__.py"}
    inner = {name for name in arrows if name not in doors and folder_of(name) != "purgeengine"}
    found: dict[str, set[str]] = {folder_of(name): set() for name in inner}
    for name in inner:
        found[folder_of(name)] |= {folder_of(other) for other in arrows[name] & inner} - {folder_of(name)}
    return found


def layers_of(folder: str) -> list[set[str]]:
    """Return the layers, from the top, of the contract that orders the modules of a folder."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in settings["tool"]["importlinter"]["contracts"]:
        layers = [set(layer.split(" | ")) for layer in contract.get("layers", [])]
        if layers and all(folder_of(name) == folder for layer in layers for name in layer):
            return layers
    return []


@pytest.mark.parametrize("typing_too", [False, True], ids=["at run time", "for types too"])
def test_no_folders_import_each_other_in_a_circle(typing_too: bool) -> None:
    """No folders import from each other in a circle, except for listed ones, and every listed exception is needed."""
    arrows = graph_of_folders(graph(typing_too=typing_too))
    assert sum(map(len, arrows.values())) > 80
    assert {tuple(circle) for circle in circles(arrows)} == set(FOLDERS_IN_LAYERS)


@pytest.mark.parametrize(("folder", "inside"), FOLDERS_IN_LAYERS)
def test_a_folder_around_another_is_in_layers(folder: str, inside: str) -> None:
    """A contract puts what the inner folder imports below it, and what imports the inner folder above it."""
    layers = layers_of(folder)
    place = {name: number for number, layer in enumerate(layers) for name in layer}
    arrows = graph(typing_too=True)
    above = {name for name, others in arrows.items() if folder_of(name) == folder and inside in map(folder_of, others)}
    below = {
        o for name, others in arrows.items() if folder_of(name) == inside for o in others if folder_of(o) == folder
    }
    below -= {inside}
    assert above
    assert below
    assert all(place[name] < place[inside] for name in above)
    assert all(place[name] > place[inside] for name in below)


def test_a_circle_would_be_found() -> None:
    """The search finds a circle of two modules and one of three."""
    arrows = {"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"e"}, "e": {"c"}, "f": {"a"}}
    assert circles(arrows) == [["c", "d", "e"], ["a", "b"]]
