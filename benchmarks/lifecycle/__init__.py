"""What versions of a model go through, on real registries and services: swaps, races, kills."""
