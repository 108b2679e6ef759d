"""A registered version becomes a folder that scores without Slipway.

In: a verified model directory (manifest, ONNX graph). Out: an ONNX graph that takes feature
values and decides, the same model as C and as JavaScript, and what each of them answered.
It reads graphs, so it needs onnx, which training has and the service has not. May import
contracts, the session and the rows of training, onnx; no recipe and nothing that learns.
"""
