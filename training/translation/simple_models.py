"""Naive Bayes, neural networks and models of a constant."""

from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor

from training.translation.graph import GraphTensor, concat
from training.translation.translator import Untranslatable

ACTIVATIONS = {
    "identity": lambda x: x,
    "logistic": lambda x: x.apply("Sigmoid"),
    "relu": lambda x: x.at_least(0.0),
    "softmax": lambda x: x.softmax(),
    "tanh": lambda x: x.apply("Tanh"),
}


def gaussian_nb(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `GaussianNB`."""
    columns = []
    for mean, variance, prior in zip(model.theta_, model.var_, model.class_prior_, strict=True):
        offset = x - mean
        # In scikit-learn's order, since the model may hold its numbers in float32.
        level = -0.5 * np.sum(np.log(2.0 * np.pi * variance))
        columns.append(float(level) - (offset * offset / variance).sum() * 0.5 + np.log(prior))
    return concat(columns).softmax()


def bernoulli_nb(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `BernoulliNB`."""
    bits = x if model.binarize is None else (x > float(model.binarize)).numbers()
    absent = np.log(1 - np.exp(model.feature_log_prob_))
    level = model.class_log_prior_ + absent.sum(axis=1)
    return (bits @ (model.feature_log_prob_ - absent).T + level).softmax()


def multinomial_nb(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `MultinomialNB`."""
    return (x @ model.feature_log_prob_.T + model.class_log_prior_).softmax()


def complement_nb(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `ComplementNB`."""
    return (x @ model.feature_log_prob_.T).softmax()


def categorical_nb(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `CategoricalNB`."""
    sizes = [each.shape[1] for each in model.feature_log_prob_]
    columns = np.repeat(np.arange(len(sizes)), sizes)
    places = np.concatenate([np.arange(n, dtype=np.float64) for n in sizes])
    hits = x.take(columns).equals(places).numbers()
    return (
        hits @ np.concatenate(model.feature_log_prob_, axis=1).T + model.class_log_prior_
    ).softmax()


def _layers(model: Any, x: GraphTensor) -> GraphTensor:
    last = len(model.coefs_) - 1
    for index, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        activation = model.out_activation_ if index == last else model.activation
        x = ACTIVATIONS[activation](x @ weights + bias)
    return x


def mlp_classifier(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `MLPClassifier`."""
    scores = _layers(model, x)
    return scores.two_classes() if len(model.classes_) == 2 else scores  # noqa: PLR2004 - two classes have one neuron


def _level(x: GraphTensor) -> GraphTensor:
    """A column of zeros, whatever the values are."""
    return x.take([0]).apply("IsNaN").numbers() * 0.0


def dummy_classifier(model: Any, x: GraphTensor) -> GraphTensor:
    """The probabilities of `DummyClassifier`, if they do not depend on chance."""
    if model.strategy == "prior":
        return _level(x) + np.asarray(model.class_prior_).reshape(1, -1)
    if model.strategy == "most_frequent":
        place = int(np.argmax(model.class_prior_))
        return _level(x) + np.eye(len(model.classes_))[place].reshape(1, -1)
    raise Untranslatable(f"DummyClassifier with strategy={model.strategy!r}")


def dummy_regressor(model: Any, x: GraphTensor) -> GraphTensor:
    """`DummyRegressor`."""
    return _level(x) + np.asarray(model.constant_).reshape(1, -1)


REGRESSORS = {DummyRegressor: dummy_regressor, MLPRegressor: _layers}
PROBABILITIES = {
    BernoulliNB: bernoulli_nb,
    CategoricalNB: categorical_nb,
    ComplementNB: complement_nb,
    DummyClassifier: dummy_classifier,
    GaussianNB: gaussian_nb,
    MLPClassifier: mlp_classifier,
    MultinomialNB: multinomial_nb,
}
