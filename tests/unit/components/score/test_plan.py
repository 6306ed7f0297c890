from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from components.score.plan import Plan, Shard, cut


@given(st.lists(st.integers(1, 500), min_size=1, max_size=30), st.integers(1, 40))
def test_every_row_is_in_one_shard_whatever_the_row_groups(groups: list[int], count: int) -> None:
    rows = sum(groups)
    shards = cut(rows, tuple(groups), count)
    assert len(shards) == min(count, rows)
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert [shard.first for shard in shards] == [0, *(shard.end for shard in shards[:-1])]
    assert shards[-1].end == rows
    assert all(shard.first < shard.end for shard in shards)


def test_shards_are_cut_where_row_groups_end() -> None:
    assert [shard.end for shard in cut(1000, (100,) * 10, 3)] == [300, 700, 1000]


def test_a_single_row_group_is_cut_all_the_same() -> None:
    assert cut(10, (10,), 2) == (Shard(0, 0, 5), Shard(1, 5, 10))


def test_a_plan_is_another_when_any_part_of_what_is_scored_is() -> None:
    plan = Plan(
        model="shop", version=1, digest="d", bundle="b", contract="c", snapshot="s", snapshot_digest="e", rows=10,
        source="a.csv", as_of="2026-01-31", shards=cut(10, (10,), 2), reasons=False, out="x",
    )  # fmt: skip
    changes = {
        "version": 2,
        "digest": "o",
        "snapshot_digest": "f",
        "as_of": "2026-02-01",
        "reasons": True,
        "model": "o",
    }
    others = {msgspec.structs.replace(plan, **{name: value}).id for name, value in changes.items()}
    assert len(others | {plan.id}) == len(changes) + 1
    assert msgspec.structs.replace(plan, out="y", source="b.csv").id == plan.id
