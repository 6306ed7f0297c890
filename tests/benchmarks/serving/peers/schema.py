"""Requests and answers of the FastAPI peers, as pydantic models with the bounds of the benchmark's contract."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Customer(BaseModel):
    plan: Literal["prepaid", "basic", "standard", "family", "business", "unlimited"]
    contract: Literal["monthly", "one year", "two years"]
    payment: Literal["card", "transfer", "direct debit", "invoice", "wallet"]
    region: Literal["north", "east", "south", "west", "centre", "islands"]
    channel: Literal["shop", "web", "phone", "partner"]
    device: Literal["none", "basic phone", "smartphone", "tablet", "router"]
    internet: Literal["none", "dsl", "cable", "fibre"]
    language: Literal["english", "french", "german", "spanish", "other"]
    paperless: Literal["yes", "no"]
    roaming: Literal["yes", "no"]
    tenure_months: int = Field(ge=0, le=240)
    age: int = Field(ge=16, le=110)
    lines: int = Field(ge=1, le=20)
    support_calls_90d: int = Field(ge=0, le=100)
    late_payments_12m: int = Field(ge=0, le=12)
    plan_changes_12m: int = Field(ge=0, le=12)
    monthly_charge: float = Field(ge=0, le=1000)
    total_charge: float = Field(ge=0, le=240000)
    overage_charge: float = Field(ge=0, le=1000)
    discount: float = Field(ge=0, le=500)
    data_gb: float = Field(ge=0, le=10000)
    data_gb_change: float = Field(ge=-1, le=10)
    voice_minutes: float = Field(ge=0, le=45000)
    voice_change: float = Field(ge=-1, le=10)
    dropped_calls: float = Field(ge=0, le=1)
    outage_hours: float = Field(ge=0, le=2200)
    days_since_login: float = Field(ge=0, le=3650)
    satisfaction: float = Field(ge=0, le=10)
    competitor_price: float = Field(ge=0, le=1000)
    credit_score: float = Field(ge=0, le=1000)


class Batch(BaseModel):
    customers: list[Customer]


class Prediction(BaseModel):
    probability: float
    decision: bool
    risk: Literal["low", "medium", "high"]


class Predictions(BaseModel):
    predictions: list[Prediction]
