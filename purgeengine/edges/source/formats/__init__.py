"""Readers of file formats: each turns a file into columns of text."""
