"""From what is asked to answers: who answers whom, what is stored, scores, reasons; then the log and the metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from churn.domain.errors import UserError
from serving.answers import Answers, Judged, fill, judge
from serving.asked import Asked
from serving.call import Call
from serving.errors import RequestError, TooLargeError, refusal
from serving.lineup import Lineup
from serving.recording import Recorder
from serving.version import INLINE, Resolved, Version

EXPLAINED_INLINE = 8
"""Customers whose reasons are found between two turns of the event loop."""

SHADOWS = 100
"""Requests whose shadows may be at work at once: each keeps a copy of its customers."""


class Answering:
    """Answers requests with the line-up of the moment; `lineup` may be replaced at any time."""

    def __init__(self, model: str, lineup: Lineup, recorder: Recorder, batch_limit: int) -> None:
        self.model, self.lineup = model, lineup
        self._recorder, self.batch_limit = recorder, batch_limit
        self._shadows: set[asyncio.Task[None]] = set()

    async def answer(self, asked: Asked, call: Call) -> Answers:
        """One answer for each customer, in order. Raises RequestError with every fault of the request; asked to be
        `partial`, it gives what it can, and each fault to its own customer."""
        self.refuse_too_many(asked)
        lineup = self.lineup
        resolved = await lineup.champion.resolve(asked)
        challenged = lineup.meets_challenger(resolved.ids)
        judged: list[Judged] = []
        if challenged and lineup.mode == "split":
            judged, challenged = await self._challenger(lineup, asked, resolved, challenged)
        judged += await self._champion(lineup, asked, resolved, {row for one in judged for row in one.rows})
        if resolved.failures:
            self._recorder.failed(call, None if asked.options.partial else resolved.ids, resolved.failures)
            if not asked.options.partial:
                raise refusal(resolved.failures)
        answers = Answers.empty(asked.count, self.model, resolved.ids)
        for one in judged:
            fill(answers, one, asked.options)
        answers.refuse(resolved.failures)
        self._recorder.answered(call, resolved.ids, judged)
        if challenged and lineup.mode == "shadow":
            self._start_shadow(lineup, asked, resolved, challenged, call)
        return answers

    def refuse_too_many(self, asked: Asked) -> None:
        """Raises TooLargeError for a batch above the limit."""
        if asked.count > self.batch_limit:
            raise TooLargeError(f"{asked.count} customers are more than {self.batch_limit} in one request")

    async def _champion(self, lineup: Lineup, asked: Asked, resolved: Resolved, taken: set[int]) -> list[Judged]:
        """What the champion says of all who are not `taken`, and have no fault; adds the faults it finds."""
        if not taken and not resolved.failures:
            rows: Sequence[int] = range(asked.count)
            columns = resolved.columns
        else:
            bad = taken.union(failure.row for failure in resolved.failures)
            rows = [row for row in range(asked.count) if row not in bad]
            if not rows:
                return []
            columns = resolved.columns[rows]
        try:
            return [await _judged(lineup.champion, "champion", rows, columns, asked)]
        except UserError:
            found = await asyncio.to_thread(lineup.champion.not_finite, resolved.columns, asked)
            mine, bad = set(rows), {failure.row for failure in found}
            resolved.failures += [failure for failure in found if failure.row in mine]
            kept = [row for row in rows if row not in bad]
            return [await _judged(lineup.champion, "champion", kept, resolved.columns[kept], asked)] if kept else []

    async def _challenger(
        self, lineup: Lineup, asked: Asked, resolved: Resolved, rows: list[int]
    ) -> tuple[list[Judged], list[int]]:
        """What the challenger says of the customers in `rows`; whom it cannot answer, the champion does.

        Also those of a challenger that is broken: an experiment may cost no customer an answer."""
        try:
            return await self._asked_challenger(lineup, asked, resolved, rows)
        except Exception as error:  # noqa: BLE001
            self._recorder.challenger_failed(_number(lineup), error)
            return [], []

    async def _asked_challenger(
        self, lineup: Lineup, asked: Asked, resolved: Resolved, rows: list[int]
    ) -> tuple[list[Judged], list[int]]:
        challenger = lineup.challenger
        assert challenger is not None
        columns, kept = await _columns_for(challenger, lineup.champion, asked, resolved, rows)
        if not kept:
            return [], []
        try:
            judged = [await _judged(challenger, "challenger", kept, columns, asked)]
        except UserError:
            return [], []
        if resolved.failures:
            answered = set(kept)
            resolved.failures[:] = [failure for failure in resolved.failures if failure.row not in answered]
        return judged, kept

    def _start_shadow(self, lineup: Lineup, asked: Asked, resolved: Resolved, rows: list[int], call: Call) -> None:
        if len(self._shadows) >= SHADOWS:
            self._recorder.shadow_dropped()
            return
        task = asyncio.create_task(self._shadow(lineup, asked, resolved, rows, call))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _shadow(self, lineup: Lineup, asked: Asked, resolved: Resolved, rows: list[int], call: Call) -> None:
        """Scores a copy of the request, for the log alone."""
        try:
            started = time.perf_counter()
            judged, _ = await self._asked_challenger(lineup, asked, resolved, rows)
            self._recorder.shadowed(call, resolved.ids, judged, time.perf_counter() - started)
        except Exception as error:  # noqa: BLE001 - nobody waits for a shadow
            self._recorder.shadow_failed(_number(lineup), error)

    async def settle(self, within_s: float | None = None) -> None:
        """Waits for shadows that are still at work; those that take longer are given up."""
        if self._shadows:
            _, late = await asyncio.wait(self._shadows, timeout=within_s)
            for one in late:
                one.cancel()
                self._recorder.shadow_dropped()


def _number(lineup: Lineup) -> int:
    return lineup.challenger.variant.version if lineup.challenger is not None else 0


async def _judged(
    version: Version, role: str, rows: Sequence[int], columns: npt.NDArray[np.float64], asked: Asked
) -> Judged:
    """A few customers at once, in the loop; many, or their reasons, in a thread: others are not kept waiting."""
    if (
        len(rows) > INLINE
        or (asked.options.explain and len(rows) > EXPLAINED_INLINE)
        or (not version.explainer.ready and (asked.options.explain or any(version.words.by_reason)))
    ):
        return await asyncio.to_thread(judge, version, role, rows, columns, asked.options)
    return judge(version, role, rows, columns, asked.options)


async def _columns_for(
    challenger: Version, champion: Version, asked: Asked, resolved: Resolved, rows: list[int]
) -> tuple[npt.NDArray[np.float64], list[int]]:
    """The columns (m, k) of the customers in `rows` whom the challenger can answer, and who they are.

    A challenger of another contract reads the request, and the online store, anew."""
    if challenger.contract.digest == champion.contract.digest:
        bad = {failure.row for failure in resolved.failures}
        kept = [row for row in rows if row not in bad]
        return resolved.columns[kept], kept
    try:
        own = await challenger.resolve(asked.take(rows))
    except RequestError:
        return np.empty((0, 0)), []
    bad = {failure.row for failure in own.failures}
    places = [place for place in range(len(rows)) if place not in bad]
    return own.columns[places], [rows[place] for place in places]
