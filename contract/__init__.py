"""`vestibule check`: the submission contract, point by point, for anyone's masks and anyone's image. Needs no torch."""
