"""Sizes of tumours and cochleae in masks, and the growth of a tumour between dates. No reference is needed."""
