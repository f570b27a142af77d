"""Seals: what was written is believed, what was damaged is not, what others wrote anew is."""

from __future__ import annotations

import json

import pytest

from taskspool.engine.seal import Broken, seal, unseal

CONTENT = (json.dumps({"id": "x", "data": {"text": "blanks at the end \\t  "}}) + "\n").encode()


@pytest.mark.parametrize("note", [b"", b"1 1-1-3c-1-00ff"])
def test_a_seal_gives_back_what_was_sealed_with_its_note(note: bytes) -> None:
    """Content and note come out as they went in, and JSON readers see the content alone."""
    assert unseal(seal(CONTENT, note)) == (CONTENT, note)
    assert json.loads(seal(CONTENT, note)) == json.loads(CONTENT)


@pytest.mark.parametrize("note", [b"", b"1 1-1-3c-1-00ff"])
def test_no_single_flipped_bit_is_taken_for_content(note: bytes) -> None:
    """Every flip of every bit breaks the seal, or leaves no JSON to read."""
    whole = seal(CONTENT, note)
    believed = []
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            json.loads(unseal(bytes(flipped))[0])
        except (Broken, ValueError):
            continue
        believed.append(bit)
    assert believed == []


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_file_that_lost_its_end_is_broken(cut: int) -> None:
    """A seal that is cut short is no seal, unless all of it is gone."""
    with pytest.raises(Broken):
        unseal(seal(CONTENT)[:-cut])


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"  \n", b"\n\n\n"])
def test_what_others_wrote_has_no_seal_and_is_believed(end: bytes) -> None:
    """A few blanks at the end are anybody's."""
    content = CONTENT.rstrip() + end
    assert unseal(content) == (content, None)


@pytest.mark.parametrize("blanks", [15, 16])
def test_sixteen_blanks_are_meant_as_a_seal(blanks: int) -> None:
    """So many that are no right seal are damage; one less is anybody's."""
    content = CONTENT.rstrip() + b" " * blanks
    if blanks < 16:
        assert unseal(content) == (content, None)
    else:
        with pytest.raises(Broken):
            unseal(content)


def test_content_edited_above_its_seal_is_broken() -> None:
    """Who edits a file by hand takes the line of blanks away, or is told so."""
    with pytest.raises(Broken, match="last line of blanks"):
        unseal(seal(CONTENT).replace(b'"x"', b'"y"'))
