"""The plan of a batch run: the champion of now, the table of now, and the shards, fixed before anything is scored."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePosixPath

import msgspec
import pyarrow.parquet as pq

from churn.domain import bundle as bundles
from churn.domain.bundle import Bundle
from churn.domain.errors import UserError
from churn.stores import addresses, files, objects
from churn.stores.addresses import redacted
from churn.stores.digests import sha256_of_file
from churn.stores.privacy.ledger import key_of
from churn.stores.settings import Settings
from churn.stores.traffic import Variant, checked_model
from churn.stores.traffic_store import open_traffic
from components.close_batch.place import open_place
from components.dates import require_come, stamp
from components.plan_batch import table
from components.score.plan import WORK, Plan, cut, require_shards
from components.score.room import room

ROWS_A_SHARD = 1_000_000
LEFT_BEHIND_S = 24 * 3600
"""Age after which what a run has scored and not published is taken for one that was killed, and not taken up again."""


class Asked(msgspec.Struct, frozen=True):
    """A batch run as it is asked for. Without `data` it is the offline store's; `shards` of 0 are one a million rows;
    an empty `out` is a place in the object store."""

    model: str
    data: str = ""
    as_of: str = ""
    shards: int = 0
    out: str = ""
    reasons: bool = False


def plan(settings: Settings, asked: Asked) -> Plan:
    """Fixes the champion, takes the snapshot, cuts it. The same again is the same plan, whatever the time of day.

    What killed runs of this model have left in the object store for a day is removed, if it is not of this plan.
    Raises UserError without a champion, for a date that has not come, for a place that cannot be written to, for what
    is no table of the contract, for an empty one, and for a full disk."""
    as_of = stamp(asked.as_of)
    require_come(as_of)
    require_shards(asked.shards, "shards")
    champion = _champion(settings, checked_model(asked.model))
    bundle = _bundle(settings, champion)
    out = _out(settings, asked)
    open_place(settings, out).probe()
    with room(settings.home), files.staged(settings.home / ".staging") as temporary:
        if asked.data:
            rows = table.copy(settings, asked.data, bundle.contract, temporary)
        else:
            rows = table.copy_latest(settings, bundle.contract, as_of, temporary)
        digest = sha256_of_file(temporary)
        metadata = pq.read_metadata(temporary)
        groups = tuple(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
        address = objects.open_store(settings).put_file(temporary, f"snapshots/{digest}.parquet")
    found = Plan(
        model=asked.model,
        version=champion.version,
        digest=champion.digest,
        bundle=champion.bundle,
        contract=bundle.contract.digest,
        snapshot=address,
        snapshot_digest=digest,
        rows=rows,
        source=redacted(asked.data) or "offline store",
        as_of=f"{as_of:%Y-%m-%d}",
        shards=cut(rows, groups, asked.shards or -(-rows // ROWS_A_SHARD)),
        reasons=asked.reasons,
        out=out,
    )
    _sweep(settings, found)
    return found


def _sweep(settings: Settings, own: Plan) -> None:
    """Scores of customers should not lie where nobody will ever ask for them."""
    store = objects.open_store(settings)
    keys = [(key_of(store, address) or "", address) for address in store.list(f"{WORK}/{own.model}/")]
    for work, found in groupby(keys, lambda one: str(PurePosixPath(one[0]).parent)):
        ages = (store.age_s(address) for _, address in found)
        if work != own.work and all(age is None or age > LEFT_BEHIND_S for age in ages):
            store.delete(store.address(work))


def _champion(settings: Settings, model: str) -> Variant:
    document = open_traffic(settings).read(model)
    if document is None:
        raise UserError("has no champion yet", f"model {model}", "churn run training, or another --model")
    return document.champion


def _bundle(settings: Settings, champion: Variant) -> Bundle:
    store = objects.open_store(settings, objects.root_of(champion.bundle))
    return bundles.load(store.fetch_folder(champion.bundle), champion.digest)


def _out(settings: Settings, asked: Asked) -> str:
    return addresses.store("out", asked.out or f"{settings.objects}/scores/{asked.model}")
