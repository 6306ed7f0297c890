"""A version of a model, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from churn.domain import bundle as bundles
from churn.domain.bundle import Bundle
from churn.domain.errors import UserError
from churn.stores import objects
from churn.stores.settings import Settings
from churn.stores.traffic import Variant
from serving.answers import Answer, judge
from serving.asked import Asked
from serving.checking import MISSING, Checked, check, required
from serving.errors import Fault, InvalidValuesError
from serving.stored import StoredFeatures

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Champion:
    """The bundle that serves, and the stored features it reads. Threads may share one."""

    variant: Variant
    bundle: Bundle
    stored: StoredFeatures

    def answer(self, asked: Asked) -> list[Answer]:
        """One answer for each customer, in order. Blocks. Raises RequestError with every fault of the request."""
        checked = check(self.bundle.contract, asked)
        columns = self._completed(asked, checked)
        return judge(self.bundle, self.variant.version, checked.ids, self._probabilities(asked, columns))

    def _completed(self, asked: Asked, checked: Checked) -> Matrix:
        """Columns with the stored values where a customer with an id was asked about without them."""
        rows = [row for row, key in enumerate(checked.ids) if key is not UNSET and not checked.given[row].all()]
        if not rows:
            return checked.columns
        ids = [key for row in rows if (key := checked.ids[row]) is not UNSET]
        stored = self.stored.read(ids, lambda place: asked.cell(rows[place], checked.id_name))
        columns = checked.columns.copy()
        columns[rows] = np.where(checked.given[rows], checked.columns[rows], stored)
        self._refuse_missing(asked, columns, rows)
        return columns

    def _refuse_missing(self, asked: Asked, columns: Matrix, rows: list[int]) -> None:
        faults = [
            Fault(asked.cell(row, name), f"{MISSING}: neither given nor stored")
            for row in rows
            for position, (name, column) in enumerate(self.bundle.contract.columns.items())
            if required(column) and np.isnan(columns[row, position])
        ]
        if faults:
            raise InvalidValuesError(faults)

    def _probabilities(self, asked: Asked, columns: Matrix) -> npt.NDArray[np.float64]:
        try:
            return self.bundle.predict(columns)
        except UserError:
            raise InvalidValuesError(list(self._not_finite(asked, columns))) from None

    def _not_finite(self, asked: Asked, columns: Matrix) -> list[Fault]:
        faults = []
        for row in range(len(columns)):
            try:
                self.bundle.derivation.run(columns[row : row + 1])
            except UserError as error:
                faults.append(Fault(asked.customer(row), f"gives no finite value of {error.where}"))
        return faults


def load(settings: Settings, model: str, variant: Variant) -> Champion:
    """Fetches a bundle by its address, verifies every file against the digest, and lets it answer its own example.

    Raises UserError for a bundle that is missing, changed, of another model, or wrong about its example."""
    folder = objects.open_store(settings, objects.root_of(variant.bundle)).fetch_folder(variant.bundle)
    bundle = bundles.load(folder, variant.digest)
    if bundle.manifest.model != model:
        raise UserError(f"is a model of '{bundle.manifest.model}', not of '{model}'", where=variant.bundle)
    bundles.self_test(bundle)
    return Champion(variant, bundle, StoredFeatures(settings, bundle))
