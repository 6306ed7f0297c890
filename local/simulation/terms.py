"""The simulated shop's contract: the telco table as shipped, dated by month, with a business that contacts few."""

from __future__ import annotations

from msgspec.structs import replace

from churn.domain.contract import Bound, Contract, Costs, EventTimestamp, Gate, parse
from churn.domain.synthetic.columns import TIMESTAMP
from churn.stores.settings import Settings
from feature_repo import contracts

MODEL = "simulated"

COSTS = Costs(contact=5.0, value=200.0, success=0.3)
"""Two of a hundred customers leave in a month, and contacting pays from a probability of 8 % on: who contacts the
wrong ones gains little, and that is what a worse model costs."""

GATE = Gate(metrics={"roc_auc": Bound(min=0.6, max=0.98), "log_loss": Bound(max=0.4), "brier": Bound(max=0.12)})
"""The floors of a table in which a quarter has left do not fit one in which a fiftieth leaves in a month."""


def terms(settings: Settings) -> Contract:
    """The contract, checked as a file would be."""
    shipped = contracts.resolve(settings, "telco")
    changed = replace(shipped, name=MODEL, event_timestamp=EventTimestamp(TIMESTAMP), costs=COSTS, gate=GATE)
    return parse(changed.to_yaml(), where=MODEL)
