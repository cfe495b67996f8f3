"""Scores of a folder and of a case."""
