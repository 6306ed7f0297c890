"""The columns of the telco table: names and spelling as in the IBM sample, categories in the order of their codes."""

from __future__ import annotations

YES_NO = ("No", "Yes")

INTERNET_SERVICES = (
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
)
"""Services that need internet: their third category is the lack of it."""

CATEGORIES: dict[str, tuple[str, ...]] = {
    "gender": ("Female", "Male"),
    "SeniorCitizen": ("0", "1"),
    "Partner": YES_NO,
    "Dependents": YES_NO,
    "PhoneService": YES_NO,
    "MultipleLines": (*YES_NO, "No phone service"),
    "InternetService": ("DSL", "Fiber optic", "No"),
    **dict.fromkeys(INTERNET_SERVICES, (*YES_NO, "No internet service")),
    "Contract": ("Month-to-month", "One year", "Two year"),
    "PaperlessBilling": YES_NO,
    "PaymentMethod": ("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"),
}
DSL, FIBER, NO_INTERNET = range(3)

ORDER = (
    "customerID", "gender", "SeniorCitizen", "Partner", "Dependents", "tenure", "PhoneService", "MultipleLines",
    "InternetService", *INTERNET_SERVICES, "Contract", "PaperlessBilling", "PaymentMethod", "MonthlyCharges",
    "TotalCharges",
)  # fmt: skip
KEY = "customerID"
TARGET = "Churn"
TIMESTAMP = "snapshot_date"
