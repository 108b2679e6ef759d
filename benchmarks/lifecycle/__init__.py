"""Whether a version may take over: canaries simulated, and what a shadow costs."""
