"""Classifiers that learn numbers from 0 instead of class names: XGBoost's.

The recipe's estimator becomes the only member of a `VotingClassifier`, which numbers the names in
alphabetical order, as scikit-learn does everywhere, and returns the member's probabilities as they
are. It is scikit-learn's own, so what is stored needs no code of ours.
"""

from typing import Any

from sklearn.ensemble import VotingClassifier

MEMBER = "numbered"


def numbered(estimator: Any) -> Any:
    """An unfitted classifier that numbers the class names for `estimator`."""
    return VotingClassifier([(MEMBER, estimator)], voting="soft")


def without_numbers(model: Any) -> Any:
    """The estimator within `numbered`; other models as they are."""
    if isinstance(model, VotingClassifier) and [name for name, _ in model.estimators] == [MEMBER]:
        members = getattr(model, "estimators_", None)
        return members[0] if members else model.estimators[0][1]
    return model
