"""A simulated schwannoma in a real head: shape and tissue of the phantom's tumours, look of the scanner's own image."""
