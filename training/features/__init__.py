"""A team's own feature code: functions and transformers that recipes use.

In: DataFrames or arrays. Out: the same, changed. Each file is a module; a model that uses it has
its source in the model directory, and is scored in a process of its own. May import numpy, pandas,
scipy, scikit-learn, the standard library and other modules of this package (docs/own-code.md).
"""
