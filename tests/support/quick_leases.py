"""``python -m tests.support.quick_leases ARGUMENTS``: the command line with short leases, so that a drill ends in seconds.

The environment variable ``QUICK_LEASES`` holds lease, margin and time to the next copy, in seconds.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from purgeengine.cli.main import main
from purgeengine.edges import cluster
from purgeengine.jobs.coordination import crews, remote_shards, shared_purge

if __name__ == "__main__":
    lease_s, margin_s, copy_s = map(float, os.environ.get("QUICK_LEASES", "3 1 1").split())
    times = replace(
        crews.REMOTE_TIMES, lease_s=lease_s, margin_s=margin_s, ask_s=lease_s / 6, start_s=20.0, again_s=0.5
    )
    crews.REMOTE_TIMES = shared_purge.REMOTE_TIMES = times
    remote_shards.COPY_EVERY_S = copy_s
    remote_shards.REST_S = 2.0
    cluster.SEEN_S_MAX = 2.0
    sys.exit(main())
