"""The JSON Schema of what each command prints with ``--json``. ``python -m tests.support.json_schemas`` makes the files."""
