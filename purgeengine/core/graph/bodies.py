"""The bodies of answers: lenient JSON, the error in a refusal, and the body that is kept of a good answer."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from purgeengine.core.graph.redaction import TEXT_LENGTH_MAX, told
from purgeengine.core.graph.text import CODE_LENGTH_MAX, MESSAGE_LENGTH_MAX
from purgeengine.core.model import Reply

_decode_strictly = msgspec.json.Decoder().decode
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""Errors of the decoder for bytes that it does not expect: JSON of another shape, no JSON, bad UTF-8, or too deep nesting."""


def lenient_json(body: bytes | msgspec.Raw) -> object:
    """Return the value of any JSON. Raises one of `UNREADABLE` for anything else.

    The standard library accepts some text that the strict decoder rejects: half an emoji at the end of a cut message, a byte
    order mark, UTF-16. If some bytes are not text, only the word that contains them is damaged, and not the replies to other
    rows.
    """
    try:
        return _decode_strictly(body)
    except UNREADABLE:
        whole = bytes(body)
    try:
        return json.loads(whole)
    except UnicodeDecodeError:
        return json.loads(whole.decode("utf-8", "replace"))


def json_or_none(body: bytes | msgspec.Raw) -> object:
    """Return the value of any JSON; None for anything else."""
    try:
        return lenient_json(body)
    except UNREADABLE:
        return None


def error_in(body: object) -> tuple[str, str]:
    """Return the code and the message of an error body; both are empty if the body has no error.

    The body is an object, or an object written as a string or in base64. Secrets are removed from both texts, because a service
    may repeat the token that it was sent, and both texts are kept and shown.
    """
    if isinstance(body, str):
        body = _unpacked(body)
    if not isinstance(body, dict):
        return "", ""
    error = body.get("error")
    if isinstance(error, str):  # the form of the login endpoint
        return _told(error, CODE_LENGTH_MAX), _told(body.get("error_description"))
    if not isinstance(error, dict):
        return "", ""
    message: Any = error.get("message")
    if isinstance(message, dict):  # the form of older OData services
        message = message.get("value")
    return _told(error.get("code"), CODE_LENGTH_MAX), _told(message)


def _told(text: object, length_max: int = MESSAGE_LENGTH_MAX) -> str:
    """Return the text without secrets. Most errors are one of a few sentences, so results are cached."""
    return _told_once(text[:TEXT_LENGTH_MAX], length_max) if isinstance(text, str) else ""


_told_once = lru_cache(maxsize=256)(told)  # texts have at most 4,000 characters: about one megabyte


def _unpacked(text: str) -> object:
    """Return the value of a body that came as a string: JSON, or JSON in base64. None for anything else."""
    packed = text.encode("utf-8", "replace").strip()
    try:
        if not packed.startswith(b"{"):
            packed = base64.b64decode(packed, validate=True)
        return lenient_json(packed)
    except (*UNREADABLE, binascii.Error):
        return None


def body_to_keep(body: object) -> bytes:
    """Return the body of a good answer as JSON. Empty if there is no body, or if it nests too deep to be written."""
    try:
        return b"" if body is None else json.dumps(body).encode("ascii")
    except RecursionError:
        return b""


def found_in(reply: Reply) -> Mapping[str, Any]:
    """Return the object in the kept body of a good answer; empty for any other reply."""
    try:
        found = lenient_json(reply.body) if reply.body else None
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}
