"""Writes every generated part of the pages and the JSON Schemas anew: `python -m tests.pages`.

`tests/pages/test_generated.py` fails while a page differs from the code.
"""

from __future__ import annotations

from tests.pages import command_reference, failure_reference, speed_reference
from tests.support import api_reference, json_schemas

if __name__ == "__main__":
    for page, text in (
        (command_reference.PAGE, command_reference.text()),
        (failure_reference.PAGE, failure_reference.renewed(failure_reference.PAGE.read_text(encoding="utf-8"))),
        (speed_reference.PAGE, speed_reference.renewed(speed_reference.PAGE.read_text(encoding="utf-8"))),
        (api_reference.PAGE, api_reference.renewed(api_reference.PAGE.read_text(encoding="utf-8"))),
    ):
        page.write_text(text, encoding="utf-8", newline="\n")
    json_schemas.main()
