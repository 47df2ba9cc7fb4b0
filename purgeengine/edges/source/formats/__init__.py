"""Readers of file formats. Each turns a file into columns of text."""
