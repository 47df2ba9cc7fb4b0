"""The version of the program, in a module that imports nothing: everybody may ask it."""

__version__ = "0.1.0"
