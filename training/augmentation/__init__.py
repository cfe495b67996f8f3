"""What is varied at random in the patches that nnU-Net trains on, beside its own augmentation."""
