"""The naive peer without its two costliest parts: no pandas, no scikit-learn.

It shows how much of a ratio to the naive peer is owed to those two. FastAPI and pydantic as before; categories are
encoded by hand, and the booster is asked directly."""

from __future__ import annotations

import os

import numpy as np
from fastapi import FastAPI

from tests.benchmarks.serving.peers.pipeline import load
from tests.benchmarks.serving.peers.schema import Batch, Customer, Prediction, Predictions

pipeline = load(os.environ["PEER_PIPELINE"])
booster = pipeline["model"].get_booster()
booster.set_param({"nthread": 1})
(_, _, plain), (_, encoder, coded) = pipeline["encoding"].transformers_
places = {}
for name, categories in zip(coded, encoder.categories_, strict=True):
    first = len(plain) + sum(map(len, places.values()))
    places[name] = {category: first + place for place, category in enumerate(categories)}
width = len(plain) + sum(map(len, places.values()))

THRESHOLD = float(os.environ["PEER_THRESHOLD"])
HIGH_RISK = float(os.environ["PEER_HIGH_RISK"])

app = FastAPI(title="churn")


def score(customers: list[Customer]) -> list[Prediction]:
    design = np.zeros((len(customers), width), np.float32)
    for row, customer in zip(design, customers, strict=True):
        given = customer.__dict__
        row[: len(plain)] = [given[name] for name in plain]
        row[[codes[given[name]] for name, codes in places.items()]] = 1
    return [
        Prediction(
            probability=p,
            decision=p >= THRESHOLD,
            risk="low" if p < THRESHOLD else "medium" if p < HIGH_RISK else "high",
        )
        for p in booster.inplace_predict(design).tolist()
    ]


@app.post("/predict")
async def predict(customer: Customer) -> Prediction:
    return score([customer])[0]


@app.post("/predict/batch")
async def predict_batch(batch: Batch) -> Predictions:
    return Predictions(predictions=score(batch.customers))


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
