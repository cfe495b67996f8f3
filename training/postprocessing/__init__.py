"""How masks are made of what nnU-Net predicts, chosen on labelled cases that it has not seen."""
