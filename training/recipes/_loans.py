"""A bank's loan book, made up: applicants, and whether they paid back.

The process: income follows employment and age; a hidden reliability moves the credit score,
the open credit lines and the repayment; the bank sees the score, the debt and the person's
file, some of it missing more often for the self-employed. The log-odds of repayment are
linear in what a bank looks at, with two interactions (a long term hurts more at a low score;
debt hurts more without work), so that a linear model is good but not perfect.
"""

import numpy as np
import pandas as pd

EMPLOYMENT = ("salaried", "self_employed", "civil_service", "student", "retired", "unemployed")
REGIONS = ("north", "south", "east", "west", "islands")
PURPOSES = ("car", "home", "education", "medical", "business", "boat")

_SHARES = (0.58, 0.17, 0.11, 0.05, 0.06, 0.03)
_INCOME = (3400, 3100, 3300, 900, 1900, 800)


def loan_book(n_rows: int, seed: int) -> pd.DataFrame:
    """`n_rows` applications with the target `outcome`: `default` or `repaid`."""
    rng = np.random.default_rng(seed)
    reliability = rng.normal(size=n_rows)
    work = rng.choice(len(EMPLOYMENT), size=n_rows, p=_SHARES)
    age = np.clip(_ages(rng, work), 18, 90).round()
    monthly = np.array(_INCOME)[work] * rng.lognormal(0.006 * (age - 40), 0.35)
    book = pd.DataFrame(
        {
            "age": age.astype(int),
            "income": np.clip(monthly * 12, 4000, 400_000).round(-1),
            "credit_score": np.clip(650 + 75 * reliability + rng.normal(0, 45, n_rows), 300, 850)
            .round()
            .astype(int),
            "amount": np.clip(rng.lognormal(9.3, 0.7, n_rows), 500, 150_000).round(-2),
            "term": rng.choice([12, 24, 36, 48, 60, 84], size=n_rows),
            "debt_to_income": np.clip(rng.gamma(2.2, 0.13, n_rows) - 0.03 * reliability, 0, 2),
            "employment_years": np.clip(rng.exponential(6.0, n_rows), 0, np.maximum(age - 17, 0)),
            "open_credit_lines": rng.poisson(np.exp(1.4 - 0.15 * reliability)),
            "owns_home": rng.random(n_rows) < 1 / (1 + np.exp(-(age - 45) / 9)),
            "employment": np.array(EMPLOYMENT, dtype=object)[work],
            "region": rng.choice(REGIONS, size=n_rows, p=[0.29, 0.26, 0.23, 0.2, 0.02]),
            "purpose": rng.choice(PURPOSES, size=n_rows, p=[0.36, 0.27, 0.14, 0.09, 0.125, 0.015]),
        }
    )
    book["outcome"] = _outcomes(book, reliability, rng)
    return _with_gaps(book, rng)


def _ages(rng: np.random.Generator, work: np.ndarray) -> np.ndarray:
    centre = np.array([41, 45, 44, 22, 69, 38])[work]
    spread = np.array([11, 11, 10, 2.5, 6, 12])[work]
    return rng.normal(centre, spread)


def _outcomes(book: pd.DataFrame, reliability: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    yearly_payment = book.amount / book.term * 12
    burden = yearly_payment / book.income + book.debt_to_income
    poor_score = (650 - book.credit_score) / 100
    jobless = book.employment.isin(["unemployed", "student"])
    odds = (
        1.9
        + 0.5 * reliability
        - 0.8 * poor_score
        - 1.6 * burden
        - 1.1 * burden * jobless
        - 0.012 * book.term * np.maximum(poor_score, 0)
        + 0.04 * np.minimum(book.employment_years, 15)
        + 0.35 * book.owns_home
        - 0.5 * (book.purpose == "business")
        - 0.9 * (book.purpose == "boat")
    )
    return np.where(rng.random(len(book)) < 1 / (1 + np.exp(-odds)), "repaid", "default")


def _with_gaps(book: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Files with holes: income of the self-employed, years at work, the score of newcomers."""
    shy = np.where(book.employment == "self_employed", 0.09, 0.01)
    book["income"] = book.income.mask(rng.random(len(book)) < shy)
    book["employment_years"] = book.employment_years.mask(rng.random(len(book)) < 0.04)
    book["region"] = book.region.astype(object).mask(rng.random(len(book)) < 0.01)
    return book.round({"debt_to_income": 3, "employment_years": 1})
