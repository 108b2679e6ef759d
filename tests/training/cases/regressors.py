"""Regressors of a value, of a count, and of two values."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.compose import (
    TransformedTargetRegressor,
)
from sklearn.cross_decomposition import PLSRegression
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - it makes the next importable
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ARDRegression,
    BayesianRidge,
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lars,
    Lasso,
    LassoCV,
    LassoLars,
    LinearRegression,
    OrthogonalMatchingPursuit,
    PoissonRegressor,
    QuantileRegressor,
    RANSACRegressor,
    Ridge,
    RidgeCV,
    SGDRegressor,
    TheilSenRegressor,
    TweedieRegressor,
)
from sklearn.model_selection import (
    GridSearchCV,
)
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.neighbors import (
    KNeighborsRegressor,
    RadiusNeighborsRegressor,
)
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import (
    PowerTransformer,
    StandardScaler,
)
from sklearn.svm import SVR, LinearSVR, NuSVR
from sklearn.tree import DecisionTreeRegressor

from tests.training.cases.preparations import (
    prepared,
    prepared_dense,
    scaled,
)

VALUES: dict[str, Callable[[], Any]] = {
    "linear": lambda: prepared(LinearRegression()),
    "ridge": lambda: prepared(Ridge()),
    "ridge_cv": lambda: prepared(RidgeCV()),
    "lasso": lambda: prepared(Lasso(0.01)),
    "lasso_cv": lambda: scaled(LassoCV(cv=3)),
    "elastic_net": lambda: prepared(ElasticNet(0.01)),
    "elastic_net_cv": lambda: scaled(ElasticNetCV(cv=3)),
    "lars": lambda: scaled(Lars()),
    "lasso_lars": lambda: scaled(LassoLars(0.01)),
    "omp": lambda: scaled(OrthogonalMatchingPursuit()),
    "bayesian_ridge": lambda: scaled(BayesianRidge()),
    "ard": lambda: scaled(ARDRegression()),
    "huber": lambda: scaled(HuberRegressor()),
    "theil_sen": lambda: scaled(TheilSenRegressor(max_subpopulation=200)),
    "ransac": lambda: scaled(RANSACRegressor()),
    "quantile_regressor": lambda: scaled(QuantileRegressor(alpha=0.01)),
    "sgd_regressor": lambda: scaled(SGDRegressor()),
    "svr": lambda: prepared(SVR()),
    "nu_svr": lambda: scaled(NuSVR()),
    "linear_svr": lambda: scaled(LinearSVR()),
    "kernel_ridge": lambda: scaled(KernelRidge(kernel="rbf")),
    "knn_regressor": lambda: scaled(KNeighborsRegressor()),
    "radius_regressor": lambda: scaled(RadiusNeighborsRegressor(radius=30.0)),
    "tree_regressor": lambda: DecisionTreeRegressor(max_depth=6),
    "forest_regressor": lambda: prepared(RandomForestRegressor(n_estimators=15)),
    "extra_trees_regressor": lambda: prepared(ExtraTreesRegressor(n_estimators=15)),
    "boosting_regressor": lambda: prepared_dense(GradientBoostingRegressor(n_estimators=20)),
    "hist_regressor": lambda: HistGradientBoostingRegressor(max_iter=20),
    "hist_quantile": lambda: HistGradientBoostingRegressor(
        loss="quantile", quantile=0.7, max_iter=20
    ),
    "hist_categories": lambda: HistGradientBoostingRegressor(
        max_iter=20, categorical_features=["c"]
    ),
    "ada_regressor": lambda: prepared(AdaBoostRegressor(n_estimators=8)),
    "bagging_regressor": lambda: prepared(BaggingRegressor(n_estimators=8)),
    "mlp_regressor": lambda: scaled(MLPRegressor(hidden_layer_sizes=(8,), max_iter=60)),
    "gaussian_process_regressor": lambda: scaled(GaussianProcessRegressor(alpha=0.1)),
    "pls": lambda: scaled(PLSRegression(2)),
    "voting_regressor": lambda: VotingRegressor(
        [("r", prepared(Ridge())), ("f", RandomForestRegressor(n_estimators=8))]
    ),
    "stacking_regressor": lambda: StackingRegressor(
        [("r", prepared(Ridge())), ("k", scaled(KNeighborsRegressor()))], cv=3
    ),
    "grid_regressor": lambda: GridSearchCV(prepared(Ridge()), {"ridge__alpha": [0.1, 1]}, cv=3),
    "dummy_regressor": DummyRegressor,
}

COUNTS: dict[str, Callable[[], Any]] = {
    "poisson": lambda: prepared(PoissonRegressor()),
    "gamma": lambda: prepared(GammaRegressor()),
    "tweedie": lambda: prepared(TweedieRegressor(power=1.5)),
    "hist_poisson": lambda: HistGradientBoostingRegressor(loss="poisson", max_iter=20),
    "hist_gamma": lambda: HistGradientBoostingRegressor(loss="gamma", max_iter=20),
    "log_target": lambda: TransformedTargetRegressor(
        prepared(Ridge()), func=np.log1p, inverse_func=np.expm1
    ),
    "log_target_inside": lambda: prepared(
        TransformedTargetRegressor(
            RandomForestRegressor(n_estimators=8), func=np.log, inverse_func=np.exp
        )
    ),
    "scaled_target": lambda: TransformedTargetRegressor(
        scaled(SVR()), transformer=StandardScaler()
    ),
    "power_target": lambda: TransformedTargetRegressor(
        scaled(Ridge()), transformer=PowerTransformer()
    ),
}

PAIRS: dict[str, Callable[[], Any]] = {
    "ridge_pair": lambda: prepared(Ridge()),
    "forest_pair": lambda: prepared(RandomForestRegressor(n_estimators=8)),
    "multi_output": lambda: MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=8)),
    "chain": lambda: scaled(RegressorChain(Ridge())),
    "mlp_pair": lambda: scaled(MLPRegressor(hidden_layer_sizes=(8,), max_iter=60)),
}
