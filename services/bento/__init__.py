"""BentoML's side of the service: its methods, pages, packing, start and stop.

In: manifests and settings. Out: what `bentoml serve`, `bentoml build` and the docs page need.
No request of the fast way passes here.
"""
