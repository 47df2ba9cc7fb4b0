"""Users that the environment protects, whatever a program asks for."""

from __future__ import annotations

from dataclasses import replace

from purgeengine.jobs.guard_rails import protected_by_environment
from purgeengine.jobs.purge_request import PurgeRequest


def with_protected_users(request: PurgeRequest) -> PurgeRequest:
    """Add the users that the environment protects to those that the request protects.

    Raises `InputError` for a file that cannot be used, so that no guard is left out by mistake.
    """
    files = protected_by_environment()
    if not files:
        return request
    from purgeengine.edges.source import read_users

    protected = [user for path in files for user in read_users(path)]
    return replace(request, protected_users=(*request.protected_users, *protected))
