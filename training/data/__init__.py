"""What stages read and leave: cases, slices, sheets."""
