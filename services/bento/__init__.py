"""What BentoML needs of the service: API methods, packing, start and stop, its model store.

In: manifests and settings. Out: what `bentoml serve` and `bentoml build` ask for. Only this
package and `services.predictor` import BentoML; no request of ours passes here.
"""
