"""The objects that ``--json`` prints, as types: one module for each command, and `envelope` for what all of them share.

These types are the only description of the JSON. The schemas in ``purgeengine/schemas`` and the tables of ``docs/json.md``
are made from them, with the docstring below each field as its meaning (``python -m tests.support.json_schemas``).

Rules for a new field: one name for one thing in all commands; a time is text made by `purgeengine.words.utc_text`, in a field
whose name ends in ``_utc``; a duration is in seconds, and its name ends in ``_s``. A field is always present: null says that the
value is not known or does not apply. A field that is replaced stays, with a docstring that begins with "Deprecated:".
"""
