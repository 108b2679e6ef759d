"""From a recipe to a registered version."""
