"""vestibule: segment vestibular schwannoma and cochlea on T2 MRI, trained on labelled contrast-enhanced T1."""

__version__ = "0.1.0"
