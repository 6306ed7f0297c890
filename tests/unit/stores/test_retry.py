from __future__ import annotations

import pytest

from churn.stores.retry import Backoff


class Flaky:
    """Fails `times` times with `error`, then answers."""

    def __init__(self, times: int, error: Exception) -> None:
        self.calls, self._times, self._error = 0, times, error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return "answer"


def _is_connection(error: Exception) -> bool:
    return isinstance(error, ConnectionError)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("churn.stores.retry.time.sleep", slept.append)
    return slept


def test_a_transient_error_is_tried_again(pauses: list[float]) -> None:
    call = Flaky(3, ConnectionError())

    assert Backoff().run(call, _is_connection) == "answer"
    assert call.calls == 4
    assert len(pauses) == 3


def test_the_last_try_raises_what_it_met(pauses: list[float]) -> None:
    call = Flaky(99, ConnectionError())

    with pytest.raises(ConnectionError):
        Backoff(attempts=4).run(call, _is_connection)

    assert call.calls == 4
    assert len(pauses) == 3


def test_another_error_is_not_tried_again(pauses: list[float]) -> None:
    call = Flaky(1, ValueError())

    with pytest.raises(ValueError):
        Backoff().run(call, _is_connection)

    assert (call.calls, pauses) == (1, [])


def test_pauses_grow_to_the_cap_and_are_jittered(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[float] = []

    def lowest(low: float, high: float) -> float:
        bounds.append(high)
        return low

    monkeypatch.setattr("churn.stores.retry.random.uniform", lowest)

    Backoff(attempts=7, base_s=0.5, cap_s=4).run(Flaky(6, ConnectionError()), _is_connection)

    assert bounds == [0.5, 1, 2, 4, 4, 4]
    assert pauses == [0] * 6, "full jitter starts at no pause"
