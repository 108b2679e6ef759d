"""The model card of a version, from what is known of it: one document, one HTML page.

In: a manifest, the reference and the sample of held-out rows; later the registry's history and the
monitor's verdicts. Out: `card/card.json` and `card/card.html`. May import the rest of training,
registry, metrics, pages and contracts.
"""
