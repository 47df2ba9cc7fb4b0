"""Tests of ``version``: what a report about a fault begins with."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path

import pytest

from purgeengine.cli.commands import version as module
from purgeengine.cli.commands.version import extras_found
from purgeengine.cli.main import run
from purgeengine.version import __version__


def test_it_says_what_runs_where(capsys: pytest.CaptureFixture[str]) -> None:
    """The command names the version, Python, the platform and libraries, as text and as JSON."""
    assert run(["version"]) == 0
    text = capsys.readouterr().out
    for told in (
        f"purgeengine {__version__}",
        platform.python_version(),
        platform.platform(),
        metadata.version("msal"),
    ):
        assert told in text
    assert run(["version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["python"]) == (__version__, platform.python_version())
    assert found["libraries"]["aiohttp"] == metadata.version("aiohttp")


def test_the_option_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """The option --version gives the same version."""
    assert run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_extras_are_those_of_the_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An extra is installed if all its packages are. One that is not comes with the command that adds it."""
    about = metadata.metadata("purgeengine")
    del about["Provides-Extra"], about["Requires-Dist"]
    for name in ("fast", "otel", "test"):
        about["Provides-Extra"] = name
    for needed in (
        "click>=8.5",
        "msal>=1.35; extra == 'fast'",
        'no-such-package-at-all>=1; sys_platform != "win32" and extra == "otel"',
        "pytest; extra == 'test'",
    ):
        about["Requires-Dist"] = needed
    monkeypatch.setattr(module.metadata, "metadata", lambda name: about)
    assert extras_found() == {"fast": {"msal": metadata.version("msal")}, "otel": {"no-such-package-at-all": None}}
    assert run(["version"]) == 0
    text = capsys.readouterr().out
    assert f"fast: msal {metadata.version('msal')}" in text
    assert "otel: not installed; to add it: pip install 'purgeengine[otel]'" in text


def test_a_broken_file_of_settings_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command works whatever stands in the file of settings, because it is needed to ask for help with it."""
    broken = tmp_path / "config.toml"
    broken.write_text("= broken", encoding="utf-8")
    monkeypatch.setenv("PURGEENGINE_CONFIG", str(broken))
    monkeypatch.setenv("PURGEENGINE_NONSENSE", "1")
    assert run(["version"]) == 0
    assert __version__ in capsys.readouterr().out
