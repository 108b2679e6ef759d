"""The parts of the shadow process, each by itself."""
