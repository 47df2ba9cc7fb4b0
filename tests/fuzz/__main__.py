"""``python -m tests.fuzz TARGET --seconds N``: look for inputs that break a target, guided by the code they reach.

Every input worth keeping goes to a folder of its own, and the next run continues from it. ``--keep`` adds to the
corpus those inputs that reach code which no input there reaches. An input that breaks the target is written to the
corpus at once: fix the code, and keep the input.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
NAMES = sorted(
    path.stem for path in (HERE / "targets").glob("*.py") if "\ndef case(" in path.read_text(encoding="utf-8")
)
INPUT_BYTES_MAX = {"parquet_files": 8_192, "ledgers": 200}
"""Longest input in bytes. Small ones are faster, and easier to understand when they break something."""
EPILOG = """\b
Examples:
  python -m tests.fuzz answers --seconds 600
  python -m tests.fuzz csv_files --keep"""


@click.command(epilog=EPILOG)
@click.argument("target", type=click.Choice(NAMES))
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="How long.")
@click.option(
    "--found", type=click.Path(path_type=Path), help="Folder for new inputs. [default: in the temporary folder]"
)
@click.option("--keep", is_flag=True, help="Do not fuzz; take the best of what was found into the corpus.")
def main(target: str, seconds: int, found: Path | None, keep: bool) -> None:
    """Fuzz a target. Exit code 0 if nothing broke it."""
    if find_spec("atheris") is None:
        sys.exit("Fuzzing needs atheris: python -m pip install -e '.[test]' --group fuzz (Linux, Python 3.11 to 3.13).")
    found = found or Path(tempfile.gettempdir()) / "purgeengine-fuzz" / target
    for folder in (found, CORPUS / target):
        folder.mkdir(parents=True, exist_ok=True)
    options = [f"-artifact_prefix={CORPUS / target}{os.sep}", f"-max_len={INPUT_BYTES_MAX.get(target, 4_096)}"]
    if keep:
        # Keep an input for the branches that it reaches, not for how often it reaches them.
        options += ["-merge=1", "-use_counters=0", str(CORPUS / target), str(found)]
    else:
        dictionary = found.with_suffix(".dict")
        dictionary.write_text(as_dictionary(import_module(f"tests.fuzz.targets.{target}").TOKENS), encoding="ascii")
        options += [
            f"-max_total_time={seconds}",
            "-len_control=10",  # an input worth having may need several words
            "-timeout=60",
            "-report_slow_units=1000",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]
        options += [f"-dict={dictionary}", str(found), str(CORPUS / target)]
    sys.exit(subprocess.run([sys.executable, "-m", "tests.fuzz.guided", target, *options], check=False).returncode)


def as_dictionary(tokens: tuple[bytes, ...]) -> str:
    """Return words in the form that libFuzzer reads."""
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in tokens)


if __name__ == "__main__":
    main()
