"""What nnU-Net's own training lacks: a training that was stopped ends with the same weights."""
