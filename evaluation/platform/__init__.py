"""Scoring on Grand Challenge and in the organisers' image."""
