"""The public API: thin functions over `purgeengine.jobs`, which the command line uses as well.

Import its names from `purgeengine`, not from here.
"""
