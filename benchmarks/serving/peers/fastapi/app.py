"""The usual tutorial: FastAPI, pydantic, a joblib pipeline, a DataFrame for each request."""

import os
from typing import Literal

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel


class Loan(BaseModel):
    """An application."""

    age: int
    income: float | None
    credit_score: int
    amount: float
    term: int
    debt_to_income: float
    employment_years: float | None
    open_credit_lines: int
    owns_home: bool
    employment: Literal[
        "salaried", "self_employed", "civil_service", "student", "retired", "unemployed"
    ]
    region: str | None
    purpose: str


class Patient(BaseModel):
    """A patient."""

    age: int
    sex: int
    bmi: float
    blood_pressure: float
    s1: float
    s2: float
    s3: float
    s4: float
    s5: float
    glucose: float


class Loans(BaseModel):
    """Many applications."""

    rows: list[Loan]


app = FastAPI()
pipeline = joblib.load(os.environ["BENCHMARK_PIPELINE"])


@app.get("/ready")
def ready() -> str:
    """Whether it is there."""
    return "ready"


@app.post("/loan")
def loan(application: Loan) -> dict[str, float]:
    """The chance that a loan is repaid."""
    frame = pd.DataFrame([application.model_dump()])
    return {"probability": float(pipeline.predict_proba(frame)[0, 1])}


@app.post("/loan/batch")
def loans(applications: Loans) -> dict[str, list[float]]:
    """The chance that each loan is repaid, in one call of the pipeline."""
    frame = pd.DataFrame([row.model_dump() for row in applications.rows])
    return {"probabilities": pipeline.predict_proba(frame)[:, 1].tolist()}


@app.post("/diabetes")
def diabetes(patient: Patient) -> dict[str, float]:
    """The progression of a patient's diabetes."""
    frame = pd.DataFrame([patient.model_dump()])
    return {"value": float(pipeline.predict(frame)[0])}
