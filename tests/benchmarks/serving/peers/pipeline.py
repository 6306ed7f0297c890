"""The peers' scikit-learn pipeline, as files that hold no code: what is coded how, and XGBoost's own model.

Whoever asks gets the same pipeline. Nothing of this project is imported: MLServer has an environment of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from xgboost import XGBClassifier

_COLUMNS, _MODEL = "columns.json", "model.ubj"


def save(folder: Path, plain: list[str], coded: dict[str, list[str]], classifier: XGBClassifier) -> None:
    """Writes numbers (`plain`), categories by column (`coded`), and a classifier of them in this order."""
    folder.mkdir()
    (folder / _COLUMNS).write_text(json.dumps({"plain": plain, "coded": coded}), encoding="utf-8")
    classifier.save_model(folder / _MODEL)


def load(folder: str | Path) -> Pipeline:
    """One-hot encoding and the booster, which predicts with one thread."""
    columns = json.loads(Path(folder, _COLUMNS).read_text(encoding="utf-8"))
    plain, coded = columns["plain"], columns["coded"]
    encoder = OneHotEncoder(
        categories=list(coded.values()), handle_unknown="ignore", sparse_output=False, dtype=np.float32
    )
    encoding = ColumnTransformer([("plain", "passthrough", plain), ("coded", encoder, list(coded))])
    encoding.fit(pd.DataFrame([dict.fromkeys(plain, 0.0) | {name: some[0] for name, some in coded.items()}]))
    classifier = XGBClassifier(n_jobs=1)
    classifier.load_model(Path(folder, _MODEL))
    return Pipeline([("encoding", encoding), ("model", classifier)])
