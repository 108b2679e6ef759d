"""The reference of `tests.tiny`: what training would store of its people."""

import numpy as np

from contracts.reference import CategoryReference, Reference
from tests import tiny
from training.reference import number_reference

TINY_REFERENCE = Reference(
    n_rows=400,
    n_predictions=100,
    features={
        "region": CategoryReference(counts={"north": 150, "south": 130, "east": 100}, missing=20),
        "age": number_reference(tiny.people().age.to_numpy()),
        "income": number_reference(tiny.people().income.to_numpy()),
        "lines": number_reference(tiny.people().lines.to_numpy(float)),
        "owner": CategoryReference(counts={"true": 160, "false": 240}, missing=0),
        "work": CategoryReference(counts={"yes": 320, "no": 80}, missing=0),
    },
    predictions={
        "score": number_reference(np.random.default_rng(0).random(100)),
        "prediction": CategoryReference(counts={"yes": 40, "no": 60}, missing=0),
    },
)
