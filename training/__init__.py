"""What produces the weights: one stage a file, in the order of the method."""
