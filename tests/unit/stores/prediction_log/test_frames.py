from __future__ import annotations

import os
from pathlib import Path

import pytest

from churn.stores.prediction_log.frames import RECORDS, SEGMENT_MAGIC, Damage, Frame, frame, scan

CONTENTS = [b"first", b"", b"third" * 50_000, b"fourth"]


def _scan(path: Path, content: bytes) -> list[Frame | Damage]:
    path.write_bytes(SEGMENT_MAGIC + content)
    file = os.open(path, os.O_RDONLY)
    try:
        return list(scan(file, len(SEGMENT_MAGIC), len(SEGMENT_MAGIC) + len(content)))
    finally:
        os.close(file)


def _frames() -> list[bytes]:
    return [frame(RECORDS, number, content) for number, content in enumerate(CONTENTS, 1)]


def _contents(found: list[Frame | Damage]) -> list[bytes]:
    return [one.content for one in found if isinstance(one, Frame)]


def test_frames_come_back_as_they_were_written(tmp_path: Path) -> None:
    found = _scan(tmp_path / "segment", b"".join(_frames()))

    assert _contents(found) == CONTENTS
    assert [one.rows for one in found] == [1, 2, 3, 4]


@pytest.mark.parametrize("kept", [1, 4, 16, 20, -1])
def test_a_frame_whose_write_was_cut_off_is_told_as_torn(tmp_path: Path, kept: int) -> None:
    *whole, last = _frames()

    found = _scan(tmp_path / "segment", b"".join(whole) + last[:kept])

    assert _contents(found) == CONTENTS[:-1]
    assert isinstance(found[-1], Damage)
    assert found[-1].torn
    assert found[-1].rows == 0


def test_damage_to_one_byte_costs_one_frame_wherever_it_is(tmp_path: Path) -> None:
    parts = [frame(RECORDS, number, b"content %d" % number) for number in range(1, 4)]
    for place in range(len(parts[0]), len(parts[0]) + len(parts[1])):
        content = bytearray(b"".join(parts))
        content[place] ^= 0x40

        found = _scan(tmp_path / "segment", bytes(content))

        assert _contents(found) == [b"content 1", b"content 3"], place
        damage = [one for one in found if isinstance(one, Damage)]
        assert len(damage) == 1
        assert not damage[0].torn


def test_the_rows_of_a_frame_with_damaged_content_are_known(tmp_path: Path) -> None:
    first, second, third, fourth = _frames()
    spoiled = third[:-1] + b"X"

    found = _scan(tmp_path / "segment", first + second + spoiled + fourth)

    assert [one.rows for one in found if isinstance(one, Damage)] == [3]


def test_bytes_of_somebody_else_between_frames_are_skipped(tmp_path: Path) -> None:
    first, *rest = _frames()

    found = _scan(tmp_path / "segment", first + b"\xc5PLF of somebody else" * 3 + b"".join(rest))

    assert _contents(found) == CONTENTS


def test_a_file_of_nothing_but_noise_is_one_damage(tmp_path: Path) -> None:
    found = _scan(tmp_path / "segment", os.urandom(3 << 20))

    assert [type(one) for one in found] == [Damage]
