"""The contract as a Pandera schema. Its checks are the domain's rules, by which requests are checked too."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
from pandera.errors import SchemaErrors

from churn.domain import parsing, rules
from churn.domain.contract import Contract
from churn.domain.parsing import Parsed


def schema(contract: Contract) -> pandera.DataFrameSchema:
    """What must hold of a parsed table, as a frame with Arrow's types."""
    columns = {
        name: pandera.Column(pd.ArrowDtype(kind), [_check(rule) for rule in rules.of(contract, name)], nullable=True)
        for name, kind in parsing.types(contract).items()
    }
    return pandera.DataFrameSchema(columns, strict=True)


def faults(expected: pandera.DataFrameSchema, parsed: Parsed) -> pa.Table:
    """All faults of a parsed table (`parsing.FAULTS`), those of parsing among them, in the order of the rows."""
    frame = parsed.table.to_pandas(types_mapper=pd.ArrowDtype)
    found = [parsing.FAULTS.empty_table()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Pandera's own, of how it joins failures of nulls alone
            expected.validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        if cases["index"].isna().any():  # a check that failed as a whole: the schema is wrong, not the rows
            raise
        for (name, problem), rows in cases.groupby(["column", "check"], sort=False)["index"]:
            values = parsed.table[name].combine_chunks()
            found.append(parsing.faults_of(name, _mask(rows, frame), values, problem))
    return parsing.together(parsed, pa.concat_tables(found))


def _check(rule: rules.Rule) -> pandera.Check:
    def holds(values: pd.Series) -> pd.Series:
        return pd.Series(~np.asarray(rule.broken(pa.array(values.array)), np.bool_), values.index)

    return pandera.Check(holds, name=rule.name, error=rule.problem, ignore_na=False)


def _mask(rows: pd.Series, frame: pd.DataFrame) -> pa.Array:
    mask = np.zeros(len(frame), np.bool_)
    mask[rows.to_numpy(np.int64)] = True
    return pa.array(mask)
