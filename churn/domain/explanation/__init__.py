"""Why a probability is what it is: what each contract column adds to its log-odds, and the same in words."""

from churn.domain.explanation.contributions import Contributions
from churn.domain.explanation.explainer import Explainer
from churn.domain.explanation.words import Reason, reasons, strongest

__all__ = ["Contributions", "Explainer", "Reason", "reasons", "strongest"]
