import os
from concurrent.futures import ThreadPoolExecutor
from math import prod

import pytest
import torch
from safetensors.torch import load_file, save_file

from samereg.io.cache import SUFFIX, CacheRecord, mark_used, read_record, remove_least_used, write_record


def record(value=1.0):
    arrays = {
        "half": torch.full((2, 3), value, dtype=torch.bfloat16),
        "double": torch.full((4,), value, dtype=torch.float64),
    }
    return CacheRecord(arrays=arrays, notes={"failure": "no overlap"})


def test_what_is_kept_comes_back(tmp_path):
    write_record(record(), tmp_path / "cache", "embedding-1")
    found = read_record(tmp_path / "cache", "embedding-1")
    assert found is not None
    assert found.notes == {"failure": "no overlap"}
    assert torch.equal(found.arrays["double"], record().arrays["double"])
    assert found.arrays["half"].dtype == torch.bfloat16
    assert torch.equal(found.arrays["half"], record().arrays["half"])


EVERY_DTYPE = [
    torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int16, torch.int64, torch.uint8, torch.bool,
]  # fmt: skip


@pytest.mark.parametrize("dtype", EVERY_DTYPE, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 4)], ids=str)
def test_every_number_comes_back_to_the_bit_in_its_data_type(dtype, shape, tmp_path):
    # from below what float16 tells from 0 to beyond its range
    powers = torch.linspace(-9.0, 9.0, prod(shape), dtype=torch.float64).reshape(shape)
    kept = (10.0**powers).to(dtype) if dtype.is_floating_point else powers.abs().to(dtype)
    write_record(CacheRecord(arrays={"values": kept}, notes={}), tmp_path, "exact")
    found = read_record(tmp_path, "exact")
    assert found is not None
    assert found.arrays["values"].dtype == dtype
    assert torch.equal(found.arrays["values"], kept)


def test_an_array_of_any_memory_layout_comes_back(tmp_path):
    kept = torch.randn(1, 4, 3, 2, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    kept = kept.contiguous(memory_format=torch.channels_last_3d)[0]
    write_record(CacheRecord(arrays={"map": kept}, notes={}), tmp_path, "layout")
    found = read_record(tmp_path, "layout")
    assert found is not None
    assert torch.equal(found.arrays["map"], kept)


def test_arrays_that_share_memory_come_back(tmp_path):
    whole = torch.arange(12.0)
    kept = {"whole": whole, "again": whole, "end": whole[6:], "even": whole[::2], "rows": whole.view(3, 4)}
    write_record(CacheRecord(arrays=kept, notes={}), tmp_path, "views")
    found = read_record(tmp_path, "views")
    assert found is not None
    assert found.arrays.keys() == kept.keys()
    for name, array in kept.items():
        assert torch.equal(found.arrays[name], array), name


def test_a_record_of_notes_alone_comes_back(tmp_path):
    write_record(CacheRecord(arrays={}, notes={"failure": "none shared\n\u00e9"}), tmp_path, "notes")
    found = read_record(tmp_path, "notes")
    assert found is not None
    assert found.arrays == {}
    assert found.notes == {"failure": "none shared\n\u00e9"}


@pytest.mark.parametrize("older", ["2", "99", "two", None])
def test_a_record_of_another_format_is_replaced(older, tmp_path):
    write_record(record(1.0), tmp_path, "old")
    path = tmp_path / "old.safetensors"
    save_file(load_file(path), path, metadata={} if older is None else {"record_format": older})
    write_record(record(2.0), tmp_path, "old")
    found = read_record(tmp_path, "old")
    assert found is not None
    assert float(found.arrays["double"][0]) == 2.0


def test_a_record_of_the_time_of_zarr_is_removed_and_made_anew(tmp_path):
    (tmp_path / "old.zarr" / "double").mkdir(parents=True)
    (tmp_path / "old.zarr" / "zarr.json").write_text("{}")
    (tmp_path / "theirs.zarr").mkdir()
    assert read_record(tmp_path, "old") is None
    write_record(record(2.0), tmp_path, "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.safetensors", "theirs.zarr"]


DAMAGES = {
    "empty": lambda whole: whole[:0],
    "header cut short": lambda whole: whole[:20],
    "data cut short": lambda whole: whole[:-1],
    "data too long": lambda whole: whole + b"\0",
    "no header": lambda whole: b"[]" + whole,
    "zeros": lambda whole: bytes(len(whole)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_record_is_removed_so_that_it_is_made_again(damage, tmp_path):
    write_record(record(), tmp_path, "broken")
    path = tmp_path / "broken.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert read_record(tmp_path, "broken") is None
    assert list(tmp_path.iterdir()) == []
    write_record(record(3.0), tmp_path, "broken")
    found = read_record(tmp_path, "broken")
    assert found is not None
    assert float(found.arrays["double"][0]) == 3.0


def test_a_damaged_record_is_replaced_without_being_read_first(tmp_path):
    write_record(record(1.0), tmp_path, "damaged")
    (tmp_path / "damaged.safetensors").write_text("[]")
    write_record(record(2.0), tmp_path, "damaged")
    found = read_record(tmp_path, "damaged")
    assert found is not None
    assert float(found.arrays["double"][0]) == 2.0


def test_a_note_may_not_take_the_place_of_what_the_record_says_of_itself(tmp_path):
    with pytest.raises(ValueError, match="record_format"):
        write_record(CacheRecord(arrays={}, notes={"record_format": "mine"}), tmp_path, "note")


def test_a_key_without_a_record_gives_none(tmp_path):
    assert read_record(tmp_path, "nothing") is None


def test_the_first_of_two_writers_wins(tmp_path):
    for value in (1.0, 2.0):
        write_record(record(value), tmp_path, "same")
    found = read_record(tmp_path, "same")
    assert found is not None
    assert float(found.arrays["double"][0]) == 1.0


def test_whoever_reads_while_others_write_finds_a_whole_record_or_none(tmp_path):
    values = torch.arange(50_000.0)

    def write(_):
        write_record(CacheRecord(arrays={"values": values}, notes={}), tmp_path, "busy")
        (tmp_path / "busy.safetensors").unlink(missing_ok=True)

    def read(_):
        found = read_record(tmp_path, "busy")
        return found is None or torch.equal(found.arrays["values"], values)

    with ThreadPoolExecutor(4) as pool:
        written = pool.map(write, range(20))
        assert all(pool.map(read, range(60)))
        assert list(written) == [None] * 20


def test_others_may_read_a_record(tmp_path):
    write_record(record(), tmp_path, "shared")
    assert (tmp_path / "shared.safetensors").stat().st_mode & 0o444 == 0o444


def test_nothing_but_records_is_left(tmp_path):
    write_record(record(), tmp_path, "only")
    assert [path.name for path in tmp_path.iterdir()] == ["only.safetensors"]


def test_a_bounded_folder_loses_what_was_used_longest_ago(tmp_path):
    for number, key in enumerate("abcd"):
        write_record(CacheRecord(arrays={"x": torch.zeros(1000)}, notes={}), tmp_path, key)
        os.utime(tmp_path / f"{key}{SUFFIX}", (number, number))
    mark_used(tmp_path, "a")
    size = (tmp_path / f"a{SUFFIX}").stat().st_size
    remove_least_used(tmp_path, limit_bytes=2.5 * size)
    assert {path.stem for path in tmp_path.iterdir()} == {"a", "d"}
