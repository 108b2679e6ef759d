"""How often the A/B analysis is right: false alarms under peeking, and power."""
