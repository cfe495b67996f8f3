"""What scores masks: metrics, joining of cases, reports."""
