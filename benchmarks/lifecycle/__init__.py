"""What versions of a model go through: swaps, races, kills, canaries, shadows."""
