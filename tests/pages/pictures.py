"""Makes the pictures of the README from a real run: `python -m tests.pages.pictures`.

A purge of the sample list runs against the simulated tenant in a pseudo-terminal, so that the program shows what a person sees.
A terminal emulator reads what it writes, and the screen becomes `docs/images/terminal.svg`. Chromium photographs the report of the
same ledger as `docs/images/report.png`. This needs Linux or macOS, Chromium, and the dependency group `docs`.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
COLUMNS, LINES = 110, 40
WIDTH_PX, HEIGHT_PX = 1280, 860
BYTES_MAX = 250_000
"""Most bytes of a picture: a README loads with its pictures."""
THEME = TerminalTheme(
    (16, 22, 30),
    (220, 224, 230),
    [
        *((40, 44, 52), (224, 108, 117), (152, 195, 121), (229, 192, 123)),
        *((97, 175, 239), (198, 120, 221), (86, 182, 194), (200, 204, 212)),
    ],
    [
        *((92, 99, 112), (240, 130, 138), (170, 215, 140), (240, 205, 140)),
        *((120, 190, 250), (215, 140, 235), (110, 200, 210), (240, 242, 246)),
    ],
)
"""Background, text, and the eight colours of a terminal, dark and bright."""


def in_a_terminal(arguments: list[str]) -> bytes:
    """Run the program in a pseudo-terminal and return every byte that it wrote."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": str(COLUMNS),
        "LINES": str(LINES),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "purgeengine", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        cwd=ROOT,
    )
    os.close(theirs)
    written = bytearray()
    try:
        while part := os.read(ours, 65_536):
            written += part
    except OSError:  # the other end is closed: how Linux tells that the program has ended
        pass
    finally:
        os.close(ours)
    if process.wait() not in (0, 1):
        raise SystemExit(f"The run failed:\n{written.decode(errors='replace')}")
    return bytes(written)


def screen_of(written: bytes) -> list[Text]:
    """Return the lines of the screen after these bytes, by a terminal emulator that knows nothing of rich."""
    import pyte

    screen = pyte.Screen(COLUMNS, LINES)
    pyte.ByteStream(screen).feed(written)
    lines = []
    for row in range(LINES):
        line = Text()
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        for look, alike in groupby(cells, key=lambda cell: (cell.fg, cell.bg, cell.bold, cell.italics)):
            style = Style(color=_color(look[0]), bgcolor=_color(look[1]), bold=look[2], italic=look[3])
            line.append("".join(cell.data for cell in alike), style)
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain.strip():
        lines.pop()
    return lines


def _color(name: str) -> Color | None:
    if name == "default":
        return None
    named = {"brown": "yellow"}.get(name, name)
    return Color.parse(f"#{named}" if len(named) == 6 and not named.isalpha() else named.replace("bright", "bright_"))


def terminal_picture(written: bytes, command: str) -> str:
    """Return the SVG of the screen, with the command that was typed above it. It names no font of another host."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ {command}", style="bold"))
    for line in screen_of(written):
        console.print(line, no_wrap=True, overflow="crop")
    return _without_fonts(console.export_svg(title="purgeengine", theme=THEME))


def _without_fonts(svg: str) -> str:
    """Return the picture without the fonts that rich lets a browser fetch from elsewhere. The system's own is used.

    It has a size, without which a browser shows it as small as it likes.
    """
    while (begin := svg.find("@font-face")) >= 0:
        svg = svg[:begin] + svg[svg.index("}", begin) + 1 :]
    svg = svg.replace("Fira Code", "ui-monospace, SFMono-Regular, Consolas, monospace")
    return re.sub(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', r'width="\1" height="\2" \g<0>', svg, count=1)


def photograph(page: Path, out: Path, scratch: Path) -> None:
    """Photograph the beginning of a page, as a screen of the usual width shows it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("The picture of the report needs Chromium (Debian's package chromium).")
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={scratch / 'profile'}",
         f"--window-size={WIDTH_PX},{HEIGHT_PX}", "--virtual-time-budget=5000", f"--screenshot={out}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip


def main() -> None:
    """Run, photograph, and refuse a picture that is too large."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        written = in_a_terminal(["demo", "--ledger", str(scratch / "cleanup")])
        shown = written.replace(str(scratch).encode(), b".")
        (IMAGES / "terminal.svg").write_text(
            terminal_picture(shown, "purgeengine demo"), encoding="utf-8", newline="\n"
        )
        report = scratch / "report.html"
        subprocess.run(
            [sys.executable, "-m", "purgeengine", "report", str(scratch / "cleanup"), "-o", str(report), "--quiet"],
            check=True,
            cwd=ROOT,
        )
        photograph(report, IMAGES / "report.png", scratch)
    for picture in sorted(IMAGES.iterdir()):
        size = picture.stat().st_size
        print(f"{picture.relative_to(ROOT)}: {size:,} bytes")  # noqa: T201
        if size > BYTES_MAX:
            raise SystemExit(f"{picture.name} is larger than {BYTES_MAX:,} bytes.")


if __name__ == "__main__":
    main()
