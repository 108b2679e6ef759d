"""Classifiers of two and of three classes."""

from collections.abc import Callable
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    make_column_transformer,
)
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - it makes the next importable
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import (
    BernoulliNB,
    CategoricalNB,
    ComplementNB,
    GaussianNB,
    MultinomialNB,
)
from sklearn.neighbors import (
    KNeighborsClassifier,
    NearestCentroid,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    MinMaxScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from tests.training.cases.preparations import (
    forest,
    prepared,
    prepared_dense,
    scaled,
)

BINARY: dict[str, Callable[[], Any]] = {
    "logistic": lambda: prepared(LogisticRegression()),
    "logistic_cv": lambda: prepared(LogisticRegressionCV(cv=3, use_legacy_attributes=False)),
    "logistic_l1": lambda: scaled(LogisticRegression(l1_ratio=1, solver="liblinear")),
    "sgd_log": lambda: scaled(SGDClassifier(loss="log_loss")),
    "sgd_hinge": lambda: scaled(SGDClassifier()),
    "perceptron": lambda: scaled(Perceptron()),
    "ridge_classifier": lambda: prepared(RidgeClassifier()),
    "ridge_classifier_cv": lambda: prepared(RidgeClassifierCV()),
    "linear_svc": lambda: prepared(LinearSVC()),
    "svc": lambda: prepared(SVC()),
    "svc_linear": lambda: scaled(SVC(kernel="linear")),
    "nu_svc": lambda: scaled(NuSVC(nu=0.3)),
    "lda": lambda: prepared_dense(LinearDiscriminantAnalysis()),
    "qda": lambda: scaled(QuadraticDiscriminantAnalysis(reg_param=0.1)),
    "gaussian_nb": GaussianNB,
    "bernoulli_nb": lambda: make_pipeline(Binarizer(threshold=1.0), BernoulliNB()),
    "multinomial_nb": lambda: make_pipeline(MinMaxScaler(clip=True), MultinomialNB()),
    "complement_nb": lambda: make_pipeline(MinMaxScaler(clip=True), ComplementNB()),
    "categorical_nb": lambda: make_pipeline(
        make_column_transformer(("passthrough", ["i", "c"])), CategoricalNB(min_categories=24)
    ),
    "knn": lambda: scaled(KNeighborsClassifier()),
    "knn_weighted": lambda: scaled(KNeighborsClassifier(7, weights="distance")),
    "nearest_centroid": lambda: scaled(NearestCentroid()),
    "tree": lambda: DecisionTreeClassifier(max_depth=6),
    "extra_tree": lambda: ExtraTreeClassifier(max_depth=6),
    "forest": lambda: prepared(forest()),
    "forest_alone": forest,
    "extra_trees": lambda: prepared(ExtraTreesClassifier(n_estimators=15)),
    "boosting": lambda: prepared_dense(GradientBoostingClassifier(n_estimators=20)),
    "hist_boosting": lambda: HistGradientBoostingClassifier(max_iter=20),
    "hist_boosting_scaled": lambda: prepared_dense(HistGradientBoostingClassifier(max_iter=20)),
    "hist_boosting_categories": lambda: HistGradientBoostingClassifier(
        max_iter=20, categorical_features=["c", "i"]
    ),
    "ada_boost": lambda: prepared(AdaBoostClassifier(n_estimators=10)),
    "bagging": lambda: prepared(BaggingClassifier(n_estimators=8)),
    "bagging_logistic": lambda: scaled(BaggingClassifier(LogisticRegression(), n_estimators=5)),
    "bagging_features": lambda: BaggingClassifier(n_estimators=8, max_features=0.7),
    "mlp": lambda: scaled(MLPClassifier((8,), max_iter=60)),
    "mlp_tanh": lambda: scaled(MLPClassifier((6, 4), activation="tanh", max_iter=60)),
    "gaussian_process": lambda: scaled(GaussianProcessClassifier(max_iter_predict=20)),
    "voting_soft": lambda: VotingClassifier(
        [("l", prepared(LogisticRegression())), ("f", prepared(forest()))], voting="soft"
    ),
    "voting_soft_inside": lambda: prepared(
        VotingClassifier([("l", LogisticRegression()), ("f", forest())], voting="soft")
    ),
    "voting_hard": lambda: prepared(
        VotingClassifier([("l", LogisticRegression()), ("f", forest()), ("n", LinearSVC())])
    ),
    "stacking": lambda: StackingClassifier(
        [("l", prepared(LogisticRegression())), ("f", prepared(forest()))], cv=3
    ),
    "stacking_inside": lambda: prepared(
        StackingClassifier([("k", KNeighborsClassifier()), ("s", LinearSVC())], cv=3)
    ),
    "calibrated": lambda: CalibratedClassifierCV(prepared(LogisticRegression()), cv=3),
    "calibrated_svc": lambda: CalibratedClassifierCV(scaled(LinearSVC()), cv=3),
    "calibrated_isotonic": lambda: CalibratedClassifierCV(forest(), method="isotonic", cv=3),
    "one_vs_rest": lambda: scaled(OneVsRestClassifier(LogisticRegression())),
    "grid_search": lambda: GridSearchCV(
        prepared(LogisticRegression()), {"logisticregression__C": [0.1, 1]}, cv=3
    ),
    "grid_search_inside": lambda: prepared(
        GridSearchCV(DecisionTreeClassifier(), {"max_depth": [2, 4]}, cv=3)
    ),
    "random_search": lambda: RandomizedSearchCV(
        prepared(forest()), {"randomforestclassifier__max_depth": [3, 5]}, n_iter=2, cv=3
    ),
    "tuned_threshold": lambda: TunedThresholdClassifierCV(prepared(LogisticRegression()), cv=3),
    "fixed_threshold": lambda: FixedThresholdClassifier(
        prepared(LogisticRegression()), threshold=0.3
    ),
    "self_training": lambda: scaled(SelfTrainingClassifier(LogisticRegression())),
    "dummy": lambda: DummyClassifier(strategy="prior"),
}


THREE: dict[str, Callable[[], Any]] = {
    "logistic_3": lambda: prepared(LogisticRegression()),
    "svc_3": lambda: scaled(SVC()),
    "linear_svc_3": lambda: scaled(LinearSVC()),
    "ridge_classifier_3": lambda: scaled(RidgeClassifier()),
    "forest_3": lambda: prepared(forest()),
    "hist_boosting_3": lambda: HistGradientBoostingClassifier(max_iter=10),
    "hist_categories_3": lambda: HistGradientBoostingClassifier(
        max_iter=10, categorical_features=["c"]
    ),
    "boosting_3": lambda: GradientBoostingClassifier(n_estimators=10),
    "knn_3": lambda: scaled(KNeighborsClassifier()),
    "lda_3": lambda: scaled(LinearDiscriminantAnalysis()),
    "mlp_3": lambda: scaled(MLPClassifier((8,), max_iter=60)),
    "one_vs_one_3": lambda: scaled(OneVsOneClassifier(LogisticRegression())),
    "calibrated_3": lambda: CalibratedClassifierCV(prepared(LogisticRegression()), cv=3),
    "calibrated_isotonic_3": lambda: CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=3),
    "voting_hard_3": lambda: scaled(
        VotingClassifier([("l", LogisticRegression()), ("f", forest()), ("g", GaussianNB())])
    ),
    "stacking_3": lambda: scaled(
        StackingClassifier([("k", KNeighborsClassifier()), ("g", GaussianNB())], cv=3)
    ),
}
