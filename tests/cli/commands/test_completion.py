"""Tests of completion: the scripts, and what the program answers to each shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from purgeengine.cli.commands.completion import SHELLS, VARIABLE
from purgeengine.cli.main import COMMANDS, run


def asked(shell: str, words: str, number: int) -> list[str]:
    """Return what the program answers to a shell that asks for word ``number`` of a command line."""
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv = ['purgeengine']; from purgeengine.cli.main import main; main()",
    ]
    environment = {
        **os.environ,
        VARIABLE: f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(number),
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def powershell_values(words: str, number: int) -> list[str]:
    """Return the values that PowerShell is offered. Each answer is three lines: type, value and help."""
    lines = asked("powershell", words, number)
    assert len(lines) % 3 == 0
    assert set(lines[::3]) <= {"plain", "dir", "file"}
    return lines[1::3]


def test_powershell_completes_commands_options_and_values() -> None:
    """PowerShell is offered commands, the options of a command that begin so, and the values of an option."""
    assert powershell_values("purgeengine ", 1) == list(COMMANDS)
    assert powershell_values("purgeengine re", 1) == ["retry", "restore", "report"]
    assert "--connections" in powershell_values("purgeengine run --con", 2)
    assert powershell_values("purgeengine run --log-format ", 3) == ["console", "json"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed_for_each_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The script of each shell names the program and the variable by which it asks."""
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version")
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert VARIABLE in script
    assert "purgeengine" in script
    assert f"{shell}_complete" in script


def test_the_script_for_powershell_registers_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """The script registers a native completer, restores the environment, and has no place-holder left."""
    assert run(["completion", "powershell"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("Register-ArgumentCompleter -Native -CommandName purgeengine -ScriptBlock {")
    assert "%(" not in script
    assert script.count("{") == script.count("}")
    assert f"$env:{VARIABLE} = 'powershell_complete'" in script
    assert f"$env:{VARIABLE} = $prev_complete" in script


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="PowerShell is not installed")
def test_powershell_itself_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """PowerShell loads the script and offers what the program answers."""
    assert run(["completion", "powershell"]) == 0
    (tmp_path / "completion.ps1").write_text(capsys.readouterr().out, encoding="utf-8")
    asking = ". ./completion.ps1; (TabExpansion2 'purgeengine re' 14).CompletionMatches.CompletionText"
    here = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["pwsh", "-NoProfile", "-Command", asking], capture_output=True, text=True, env=here, cwd=tmp_path, check=True
    )
    assert done.stdout.split() == ["retry", "restore", "report"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_itself_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bash loads the script and offers what the program answers."""
    assert run(["completion", "bash"]) == 0
    (tmp_path / "completion.bash").write_text(capsys.readouterr().out, encoding="utf-8")
    program = tmp_path / "purgeengine"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m purgeengine "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    asking = (
        "source ./completion.bash; COMP_WORDS=(purgeengine re); COMP_CWORD=1; _purgeengine_completion purgeengine; "
        'echo "${COMPREPLY[@]}"'
    )
    here = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", asking], capture_output=True, text=True, env=here, cwd=tmp_path, check=True)
    assert done.stdout.split() == ["retry", "restore", "report"]


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Another shell ends with exit code 2 and the list of those that there are."""
    assert run(["completion", "tcsh"]) == 2
    assert "powershell" in capsys.readouterr().err
