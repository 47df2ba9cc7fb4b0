"""Users that the environment protects, whatever a program asks for."""

from __future__ import annotations

import os
from dataclasses import replace

from purgeengine.jobs.purge_request import PurgeRequest

VARIABLE = "PURGEENGINE_PROTECTED_USERS"
"""Environment variable with files of users who are never touched, separated as in ``PATH``. The command line reads it too."""


def with_protected_users(request: PurgeRequest) -> PurgeRequest:
    """Add the users that the environment protects to those that the request protects.

    Raises `InputError` for a file that cannot be used, so that no guard is left out by mistake.
    """
    files = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    if not files:
        return request
    from purgeengine.edges.source import read_users

    protected = [user for path in files for user in read_users(path)]
    return replace(request, protected_users=(*request.protected_users, *protected))
