"""Transformers, each before a classifier, without and with missing values."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.compose import (
    make_column_selector,
    make_column_transformer,
)
from sklearn.decomposition import NMF, PCA, FactorAnalysis, FastICA, KernelPCA, TruncatedSVD
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
)
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - it makes the next importable
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    SequentialFeatureSelector,
    VarianceThreshold,
)
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import (
    LogisticRegression,
)
from sklearn.pipeline import make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from tests.training.cases.preparations import (
    columns,
    forest,
    with_steps,
)

STEPS: dict[str, Callable[[], Any]] = {
    "min_max": lambda: with_steps(MinMaxScaler()),
    "robust": lambda: with_steps(RobustScaler()),
    "max_abs": lambda: with_steps(MaxAbsScaler()),
    "normalizer": lambda: with_steps(Normalizer()),
    "power": lambda: with_steps(PowerTransformer()),
    "box_cox_forest": lambda: with_steps(columns(PowerTransformer()), model=forest()),
    "quantile": lambda: with_steps(QuantileTransformer(n_quantiles=50)),
    "quantile_normal": lambda: with_steps(
        QuantileTransformer(n_quantiles=50, output_distribution="normal")
    ),
    "polynomial": lambda: with_steps(columns(PolynomialFeatures(2), StandardScaler())),
    "spline": lambda: with_steps(columns(SplineTransformer(n_knots=5))),
    "spline_linear": lambda: with_steps(columns(SplineTransformer(4, extrapolation="linear"))),
    "bins": lambda: with_steps(columns(KBinsDiscretizer(quantile_method="averaged_inverted_cdf"))),
    "bins_uniform": lambda: with_steps(
        KBinsDiscretizer(4, encode="ordinal", strategy="uniform"), StandardScaler()
    ),
    "log1p": lambda: with_steps(
        make_column_transformer(
            (FunctionTransformer(np.log1p), ["b", "i"]), remainder="passthrough"
        )
    ),
    "sine": lambda: with_steps(columns(FunctionTransformer(np.sin), StandardScaler())),
    "one_hot_hours": lambda: with_steps(
        make_column_transformer((OneHotEncoder(), ["i", "c"]), (StandardScaler(), ["a", "b"]))
    ),
    "one_hot_drop": lambda: with_steps(
        make_column_transformer((OneHotEncoder(drop="first"), ["c"]), remainder=StandardScaler())
    ),
    "one_hot_frequent": lambda: with_steps(
        make_column_transformer(
            (OneHotEncoder(min_frequency=15, handle_unknown="infrequent_if_exist"), ["i", "c"]),
            remainder=StandardScaler(),
        )
    ),
    "one_hot_max": lambda: with_steps(
        make_column_transformer(
            (OneHotEncoder(max_categories=5, handle_unknown="ignore"), ["i"]),
            remainder=StandardScaler(),
        ),
        model=forest(),
    ),
    "ordinal": lambda: with_steps(
        make_column_transformer((OrdinalEncoder(), ["c", "i"]), remainder="passthrough"),
        model=forest(),
    ),
    "target_encoder": lambda: with_steps(
        make_column_transformer((TargetEncoder(), ["c"]), remainder=StandardScaler())
    ),
    "pca": lambda: with_steps(columns(StandardScaler(), PCA(2))),
    "pca_forest": lambda: with_steps(StandardScaler(), PCA(3), model=forest()),
    "svd": lambda: with_steps(StandardScaler(), TruncatedSVD(2)),
    "kernel_pca": lambda: with_steps(StandardScaler(), KernelPCA(3, kernel="rbf")),
    "ica": lambda: with_steps(StandardScaler(), FastICA(3)),
    "factor_analysis": lambda: with_steps(StandardScaler(), FactorAnalysis(2)),
    "nmf": lambda: with_steps(MinMaxScaler(clip=True), NMF(2, max_iter=500)),
    "nystroem": lambda: with_steps(StandardScaler(), Nystroem(n_components=20)),
    "rbf_sampler": lambda: with_steps(StandardScaler(), RBFSampler(n_components=20)),
    "k_best": lambda: with_steps(columns(), SelectKBest(k=4)),
    "percentile": lambda: with_steps(StandardScaler(), SelectPercentile(percentile=60)),
    "from_model": lambda: with_steps(
        columns(), SelectFromModel(LogisticRegression(l1_ratio=1, solver="liblinear"))
    ),
    "rfe": lambda: with_steps(StandardScaler(), RFE(LogisticRegression(), n_features_to_select=2)),
    "sequential": lambda: with_steps(
        StandardScaler(), SequentialFeatureSelector(LogisticRegression(), cv=2)
    ),
    "variance": lambda: with_steps(VarianceThreshold(0.01), StandardScaler()),
    "union": lambda: with_steps(StandardScaler(), make_union(PCA(2), SelectKBest(k=2))),
    "selector": lambda: with_steps(
        make_column_transformer((StandardScaler(), make_column_selector(pattern="[abi]")))
    ),
    "remainder": lambda: with_steps(
        make_column_transformer((StandardScaler(), ["a"]), remainder="passthrough"), model=forest()
    ),
    "lda_step": lambda: with_steps(StandardScaler(), LinearDiscriminantAnalysis()),
}

GAPPY: dict[str, Callable[[], Any]] = {
    "impute_median": lambda: with_steps(
        columns(SimpleImputer(strategy="median"), StandardScaler())
    ),
    "impute_indicator": lambda: with_steps(columns(SimpleImputer(add_indicator=True))),
    "impute_knn": lambda: with_steps(KNNImputer(n_neighbors=4)),
    "impute_iterative": lambda: with_steps(IterativeImputer(max_iter=4, tol=0.1)),
    "indicator_union": lambda: with_steps(make_union(SimpleImputer(), MissingIndicator())),
    "impute_forest": lambda: with_steps(columns(SimpleImputer(), RobustScaler()), model=forest()),
    "hist_boosting_gaps": lambda: HistGradientBoostingClassifier(max_iter=20),
    "forest_gaps": forest,
}
