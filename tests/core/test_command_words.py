"""The core speaks no command line but in one module."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from purgeengine.cli.commands.export import export
from purgeengine.cli.commands.retry import retry
from purgeengine.cli.commands.run import run
from purgeengine.core import command_words

CORE = Path(command_words.__file__).parent
FLAG = re.compile(r"--[a-z]|purgeengine (?:run|retry|export|report|status)")


def texts_of(path: Path) -> list[str]:
    """Every text in a module's code, and in its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_flags_stand_in_one_module_only() -> None:
    """A renamed option is one change; a caller of the API is told fields."""
    found = {
        path.relative_to(CORE).as_posix(): text
        for path in CORE.rglob("*.py")
        if path != Path(command_words.__file__)
        for text in texts_of(path)
        if FLAG.search(text)
    }
    assert found == {}


def test_every_word_is_one_of_the_command_line() -> None:
    """What advice tells somebody to type is there to be typed."""
    options = {name for command in (run, retry, export) for option in command.params for name in option.opts}
    words = [value for name, value in vars(command_words).items() if name.isupper()]
    assert len(words) > 10
    assert [word for word in words if word.split()[0] not in options] == []
    assert (
        command_words.retry_command("old", "new", " --only refused")
        == "purgeengine retry old --ledger new --only refused"
    )
