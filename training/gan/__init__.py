"""What the adversarial trainings share."""
