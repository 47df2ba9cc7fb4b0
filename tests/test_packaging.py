"""Tests of the wheel: it holds what the program needs and nothing else, its types count, and it runs outside the repository.

They are skipped where hatchling or mypy is missing; both are in the dependency group `dev`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import HeaderParser
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOR_DEVELOPERS = {"test"}
"""Extras that are not for users, each with a reason in pyproject.toml."""
DATA = {"purgeengine/py.typed", "purgeengine/sample_inputs/contacts.csv"}
WRONG = """\
import purgeengine
reveal_type(purgeengine.plan)
purgeengine.PurgeRequest(inputs="a", ledger="b").rows_that_are_not_there
"""

built = pytest.mark.skipif(
    not find_spec("hatchling"), reason="hatchling is not installed: the dependency group dev has it"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the build tool itself, without a network."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = out.glob("*.whl")
    return path


@built
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Every file of the package is in it, with `py.typed` and the demo's list; no test, no page, no tool is."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for path in (ROOT / "purgeengine").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert {path.relative_to(ROOT).as_posix() for path in files} | DATA == names
    assert len(names) > 150


@built
def test_what_the_wheel_asks_for_is_for_users(wheel: Path) -> None:
    """Its extras are those of pyproject.toml, and tools for developers are asked for by the extra `test` only."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["project"]["optional-dependencies"])
    needed = [
        one
        for one in metadata.get_all("Requires-Dist", [])
        if not any(f"extra == '{e}'" in one for e in FOR_DEVELOPERS)
    ]
    tools = ("pytest", "ruff", "mypy", "sphinx", "hypothesis", "furo", "coverage", "mutmut", "msgraph")
    assert [one for one in needed if one.startswith(tools)] == []
    assert metadata["Requires-Python"] == ">=3.11"


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Install the wheel into an environment of its own. Returns its Python and its folder of packages."""
    builder = venv.EnvBuilder()
    python = Path(builder.ensure_directories(tmp_path / "environment").env_exe)
    builder.create(tmp_path / "environment")
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return python, packages


@built
@pytest.mark.skipif(not find_spec("mypy"), reason="mypy is not installed: the dependency group dev has it")
def test_a_caller_gets_the_types(installed: tuple[Path, Path], tmp_path: Path) -> None:
    """Mypy knows the types of the installed package and objects to a wrong name. Without `py.typed` it would know nothing."""
    python, packages = installed
    (tmp_path / "caller.py").write_text(WRONG, encoding="utf-8")

    def told() -> str:
        words = ["--config-file", "", "--no-incremental", "--python-executable", str(python), "caller.py"]
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    found = told()
    assert "PurgePreview" in found, found
    assert '"PurgeRequest" has no attribute "rows_that_are_not_there"' in found
    (packages / "purgeengine" / "py.typed").unlink()
    assert "py.typed marker" in told()


@built
def test_the_wheel_runs_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    """The files of the wheel alone are enough for a command that reads the list inside it."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    listed = tmp_path / "installed" / "purgeengine" / "sample_inputs" / "contacts.csv"
    done = subprocess.run(
        [sys.executable, "-m", "purgeengine", "plan", str(listed)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1,200" in done.stdout


def test_every_extra_for_users_is_on_the_page_about_installing() -> None:
    """The page *Install and update* has a line for each extra that a user may want."""
    page = (ROOT / "docs" / "tasks" / "install.md").read_text(encoding="utf-8")
    extras = PROJECT["project"]["optional-dependencies"].keys() - FOR_DEVELOPERS
    assert [extra for extra in extras if f"\n| `{extra}` |" not in page] == []
    assert extras


def test_tools_for_developers_are_groups_and_no_extras() -> None:
    """Every extra but the listed ones is for users, and each of those has a reason. Groups name no extra that does not exist."""
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    assert extras.keys() >= FOR_DEVELOPERS
    assert extras.keys() & {"dev", "docs", "clients", "peers", "fuzz", "mutants"} == set()
    assert groups.keys() >= {"dev", "docs", "clients", "peers", "fuzz", "mutants"}
    asked = [
        one for group in groups.values() for one in group if isinstance(one, str) and one.startswith("purgeengine[")
    ]
    assert asked
    assert {extra for one in asked for extra in one.partition("[")[2].rstrip("]").split(",")} <= extras.keys()
