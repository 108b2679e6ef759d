"""Edge exports: every form of a model, run for real."""
