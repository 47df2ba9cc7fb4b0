"""What a program can ask for: a thin skin over `purgeengine.jobs`, which the command line uses as well.

Everything of it is to be imported from `purgeengine`.
"""
