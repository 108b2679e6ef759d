"""From traffic to a verdict."""
