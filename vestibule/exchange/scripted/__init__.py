"""The whole prediction as TorchScript: what runs it needs neither this toolkit nor nnU-Net.

Each module here is a step of `vestibule.pipeline` in tensors alone, with the constants of the step that it repeats.
TorchScript reads no global values, so these become attributes. Tests hold every step against the original.
"""
