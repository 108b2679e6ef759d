"""Steps that project the features on fewer axes."""

from typing import Any

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA, FactorAnalysis, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from training.translation.graph import GraphTensor
from training.translation.kernels import squared_distances
from training.translation.linear import dense


def principal_components(step: Any, x: GraphTensor) -> GraphTensor:
    """`PCA` and `IncrementalPCA`."""
    projected = (x - step.mean_) @ step.components_.T
    if not step.whiten:
        return projected
    scale = np.sqrt(step.explained_variance_)
    smallest = np.finfo(scale.dtype).eps
    return projected / np.maximum(scale, smallest)


def components(step: Any, x: GraphTensor) -> GraphTensor:
    """`TruncatedSVD` and random projections."""
    return x @ dense(step.components_).T


def independent_components(step: Any, x: GraphTensor) -> GraphTensor:
    """`FastICA`."""
    centered = x - step.mean_ if step.whiten else x
    return centered @ step.components_.T


def factors(step: Any, x: GraphTensor) -> GraphTensor:
    """`FactorAnalysis`: the posterior means of the factors (Bishop 2006, 12.66)."""
    weighted = step.components_ / step.noise_variance_
    covariance = np.linalg.inv(np.eye(len(step.components_)) + weighted @ step.components_.T)
    return (x - step.mean_) @ weighted.T @ covariance


def cluster_distances(step: Any, x: GraphTensor) -> GraphTensor:
    """`KMeans.transform`: the distance to each centre."""
    return squared_distances(x, dense(step.cluster_centers_)).apply("Sqrt")


TRANSFORMS = {
    FactorAnalysis: factors,
    FastICA: independent_components,
    GaussianRandomProjection: components,
    IncrementalPCA: principal_components,
    KMeans: cluster_distances,
    MiniBatchKMeans: cluster_distances,
    PCA: principal_components,
    SparseRandomProjection: components,
    TruncatedSVD: components,
}
