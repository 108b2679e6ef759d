"""Estimators of the frameworks, by extra. Each function imports its framework when it is called."""

from collections.abc import Callable
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.training.cases.table import NUMBERS, WORDS, Case, Kind
from training.features.native_categories import NativeCategories


def _after(step: Any, model: Any) -> Any:
    return make_pipeline(step, model)


def _columns() -> Any:
    return make_column_transformer(
        (StandardScaler(), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), WORDS),
    )


def _xgb(name: str, **how: Any) -> Any:
    import xgboost

    return getattr(xgboost, name)(**{"n_estimators": 20, "max_depth": 4, "n_jobs": 1} | how)


def _lgbm(name: str, **how: Any) -> Any:
    import lightgbm

    return getattr(lightgbm, name)(**{"n_estimators": 20, "n_jobs": 1, "verbose": -1} | how)


def _cat(name: str, **how: Any) -> Any:
    import catboost

    return getattr(catboost, name)(**{"iterations": 20, "depth": 4, "thread_count": 1} | how)


def _counted(**how: Any) -> Any:
    """CatBoost's own categories, as integers."""
    model = _cat("CatBoostClassifier", cat_features=WORDS, **how)
    return _after(NativeCategories(WORDS, dtype="int"), model)


_BY_SETS: dict[str, Any] = {"enable_categorical": True, "max_cat_to_onehot": 1}
_ONE_BY_ONE: dict[str, Any] = {"enable_categorical": True}
_SMALL_GROUPS: dict[str, Any] = {"min_data_per_group": 5, "cat_smooth": 1}
_ROWS: dict[str, Any] = {"subsample": 0.7, "subsample_freq": 1}

Group = tuple[Kind, bool, dict[str, Callable[[], Any]]]
_XGBOOST: tuple[Group, ...] = (
    (
        "two",
        True,
        {
            "xgb": lambda: _xgb("XGBClassifier"),
            "xgb_sets": lambda: _after(NativeCategories(WORDS), _xgb("XGBClassifier", **_BY_SETS)),
            "xgb_one_by_one": lambda: _after(
                NativeCategories(WORDS), _xgb("XGBClassifier", **_ONE_BY_ONE)
            ),
        },
    ),
    (
        "two",
        False,
        {
            "xgb_columns": lambda: _after(_columns(), _xgb("XGBClassifier")),
            "xgb_dart": lambda: _xgb("XGBClassifier", booster="dart", rate_drop=0.3),
            "xgb_forest": lambda: _xgb("XGBRFClassifier"),
            "xgb_linear": lambda: _xgb("XGBClassifier", booster="gblinear", max_depth=None),
            "xgb_calibrated": lambda: CalibratedClassifierCV(_xgb("XGBClassifier")),
        },
    ),
    (
        "three",
        False,
        {
            "xgb_three": lambda: _xgb("XGBClassifier"),
            "xgb_search": lambda: GridSearchCV(_xgb("XGBClassifier"), {"max_depth": [2, 3]}),
        },
    ),
    (
        "value",
        True,
        {
            "xgb_value": lambda: _xgb("XGBRegressor"),
            "xgb_median": lambda: _xgb("XGBRegressor", objective="reg:absoluteerror"),
        },
    ),
    ("value", False, {"xgb_zero_is_missing": lambda: _xgb("XGBRegressor", missing=0.0)}),
    (
        "count",
        False,
        {
            "xgb_poisson": lambda: _xgb("XGBRegressor", objective="count:poisson"),
            "xgb_gamma": lambda: _xgb("XGBRegressor", objective="reg:gamma"),
        },
    ),
    (
        "pair",
        False,
        {
            "xgb_pair": lambda: _xgb("XGBRegressor"),
            "xgb_vector_leaves": lambda: _xgb("XGBRegressor", multi_strategy="multi_output_tree"),
        },
    ),
)
_LIGHTGBM: tuple[Group, ...] = (
    (
        "two",
        True,
        {
            "lgbm": lambda: _lgbm("LGBMClassifier"),
            "lgbm_sets": lambda: _after(
                NativeCategories(WORDS), _lgbm("LGBMClassifier", **_SMALL_GROUPS)
            ),
        },
    ),
    (
        "two",
        False,
        {
            "lgbm_columns": lambda: _after(
                _columns().set_output(transform="pandas"), _lgbm("LGBMClassifier")
            ),
            "lgbm_stacked": lambda: StackingClassifier(
                [("trees", _lgbm("LGBMClassifier"))], LogisticRegression()
            ),
        },
    ),
    (
        "three",
        False,
        {
            "lgbm_three": lambda: _lgbm("LGBMClassifier"),
            "lgbm_one_against_all": lambda: _lgbm("LGBMClassifier", objective="multiclassova"),
        },
    ),
    (
        "value",
        True,
        {
            "lgbm_value": lambda: _lgbm("LGBMRegressor"),
            "lgbm_forest": lambda: _lgbm("LGBMRegressor", boosting_type="rf", **_ROWS),
        },
    ),
    (
        "value",
        False,
        {
            "lgbm_dart": lambda: _lgbm("LGBMRegressor", boosting_type="dart"),
            "lgbm_linear_leaves": lambda: _lgbm("LGBMRegressor", linear_tree=True),
            "lgbm_zero_is_missing": lambda: _lgbm("LGBMRegressor", zero_as_missing=True),
        },
    ),
    (
        "count",
        False,
        {
            "lgbm_poisson": lambda: _lgbm("LGBMRegressor", objective="poisson"),
            "lgbm_roots": lambda: _lgbm("LGBMRegressor", reg_sqrt=True),
        },
    ),
)
_CATBOOST: tuple[Group, ...] = (
    (
        "two",
        True,
        {
            "cat": lambda: _cat("CatBoostClassifier"),
            "cat_one_hot": lambda: _counted(one_hot_max_size=50),
            "cat_counters": lambda: _counted(one_hot_max_size=2, max_ctr_complexity=1),
        },
    ),
    (
        "two",
        False,
        {
            "cat_columns": lambda: _after(_columns(), _cat("CatBoostClassifier")),
            "cat_leaf_by_leaf": lambda: _cat("CatBoostClassifier", grow_policy="Lossguide"),
        },
    ),
    (
        "three",
        False,
        {
            "cat_three": lambda: _cat("CatBoostClassifier"),
            "cat_one_against_all": lambda: _cat(
                "CatBoostClassifier", loss_function="MultiClassOneVsAll"
            ),
        },
    ),
    (
        "value",
        True,
        {
            "cat_value": lambda: _cat("CatBoostRegressor"),
            "cat_missing_last": lambda: _cat("CatBoostRegressor", nan_mode="Max"),
        },
    ),
    (
        "count",
        False,
        {"cat_poisson": lambda: _cat("CatBoostRegressor", loss_function="Poisson")},
    ),
    (
        "pair",
        False,
        {"cat_pair": lambda: _cat("CatBoostRegressor", loss_function="MultiRMSE")},
    ),
)
_BY_EXTRA = {"xgboost": _XGBOOST, "lightgbm": _LIGHTGBM, "catboost": _CATBOOST}
FRAMEWORK_CASES: dict[str, Case] = {
    name: Case(kind, estimator, gaps)
    for groups in _BY_EXTRA.values()
    for kind, gaps, group in groups
    for name, estimator in group.items()
}
"""Every case of a framework by name."""
EXTRA_OF_CASE: dict[str, str] = {
    name: package
    for package, groups in _BY_EXTRA.items()
    for _, _, group in groups
    for name in group
}
"""The extra that each of them needs."""
