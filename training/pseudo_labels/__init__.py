"""Masks that a segmenter finds in unlabelled T2, and which of them it may learn from."""
