from __future__ import annotations

import pyarrow as pa
import pytest

from churn.domain.errors import UserError
from churn.stores.prediction_log.pseudonyms import Pseudonyms
from churn.stores.privacy.customer import Customer

NAMES = Pseudonyms(b"k" * 32)


def test_where_a_key_counts_a_number_goes_by_the_name_the_predictor_gives_it_and_by_what_was_typed() -> None:
    customer = Customer(" 007 ", NAMES, counts=True)
    assert customer.integer == 7
    assert customer.pseudonyms == (NAMES.pseudonym("7"), NAMES.pseudonym("007"))
    assert customer.alias == NAMES.pseudonym("7").hex()


@pytest.mark.parametrize("given", ["007", "+7", "7", "-0"])
def test_where_every_key_is_text_a_customer_goes_by_what_was_typed_alone(given: str) -> None:
    customer = Customer(given, NAMES)
    assert customer.pseudonyms == (NAMES.pseudonym(given),)
    assert customer.alias == NAMES.pseudonym(given).hex()
    assert customer.among(pa.array(["7", "007", "+7", "-0"])).to_pylist().count(True) == 1
    assert customer.among(pa.array([int(given)])).to_pylist() == [True], "a column that counts has no spellings"


def test_rows_of_the_log_call_a_customer_by_keys_made_of_the_pseudonym() -> None:
    customer = Customer("7", NAMES)
    name = NAMES.pseudonym("7")
    texts = pa.array(["7", name.hex(), NAMES.pseudonym("8").hex(), name.hex().upper(), None])
    assert customer.among(texts).to_pylist() == [True, True, False, False, False]
    numbers = pa.array([7, int.from_bytes(name[:8], "big") >> 1, 8, None], pa.int64())
    assert customer.among(numbers).to_pylist() == [True, True, False, False]
    assert Customer("x", NAMES).among(numbers).to_pylist() == [False] * 4


@pytest.mark.parametrize("given", ["7590-VHVEG", "1.5", "٣", "9" * 19, "1e3"])
def test_what_is_no_integer_is_text(given: str) -> None:
    customer = Customer(given, NAMES)
    assert customer.integer is None
    assert customer.pseudonyms == (NAMES.pseudonym(given),)


def test_a_customer_is_shown_by_the_pseudonym() -> None:
    assert "7590-VHVEG" not in repr(Customer("7590-VHVEG", NAMES))


def test_somebody_has_to_be_named() -> None:
    with pytest.raises(UserError, match="--customer-id"):
        Customer("  ", NAMES)
