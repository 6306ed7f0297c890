"""The naive peer: what a good engineer builds in a day with FastAPI, pydantic, pandas and scikit-learn.

uvicorn runs it in one worker with uvloop and httptools. The model is loaded once, and predicts with one thread.
Each endpoint is there twice, as a coroutine and as a function (which FastAPI runs in a thread); the benchmark takes the
faster one as the peer."""

from __future__ import annotations

import os

import pandas as pd
from fastapi import FastAPI

from tests.benchmarks.serving.peers.pipeline import load
from tests.benchmarks.serving.peers.schema import Batch, Customer, Prediction, Predictions

model = load(os.environ["PEER_PIPELINE"])
THRESHOLD = float(os.environ["PEER_THRESHOLD"])
HIGH_RISK = float(os.environ["PEER_HIGH_RISK"])

app = FastAPI(title="churn")


def score(customers: list[Customer]) -> list[Prediction]:
    frame = pd.DataFrame([customer.model_dump() for customer in customers])
    return [
        Prediction(
            probability=p,
            decision=p >= THRESHOLD,
            risk="low" if p < THRESHOLD else "medium" if p < HIGH_RISK else "high",
        )
        for p in model.predict_proba(frame)[:, 1].tolist()
    ]


@app.post("/predict")
async def predict(customer: Customer) -> Prediction:
    return score([customer])[0]


@app.post("/predict/batch")
async def predict_batch(batch: Batch) -> Predictions:
    return Predictions(predictions=score(batch.customers))


@app.post("/sync/predict")
def sync_predict(customer: Customer) -> Prediction:
    return score([customer])[0]


@app.post("/sync/predict/batch")
def sync_predict_batch(batch: Batch) -> Predictions:
    return Predictions(predictions=score(batch.customers))


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
