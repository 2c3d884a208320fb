from math import prod

import pytest
import torch
import zarr

from samereg.io.cache import CacheRecord, read_record, write_record


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


@pytest.mark.parametrize("older", [1, 99, "two", None])
def test_a_record_of_another_format_is_replaced(older, tmp_path):
    write_record(record(1.0), tmp_path, "old")
    zarr.open_group(str(tmp_path / "old.zarr"), mode="r+").attrs["format"] = older
    write_record(record(2.0), tmp_path, "old")
    found = read_record(tmp_path, "old")
    assert found is not None
    assert float(found.arrays["double"][0]) == 2.0


def test_a_damaged_record_is_replaced_without_being_read_first(tmp_path):
    write_record(record(1.0), tmp_path, "damaged")
    (tmp_path / "damaged.zarr" / "zarr.json").write_text("[]")
    write_record(record(2.0), tmp_path, "damaged")
    found = read_record(tmp_path, "damaged")
    assert found is not None
    assert float(found.arrays["double"][0]) == 2.0


@pytest.mark.parametrize("name", ["format", "bit_views"])
def test_a_note_may_not_take_the_place_of_what_the_record_says_of_itself(name, tmp_path):
    with pytest.raises(ValueError, match=name):
        write_record(CacheRecord(arrays={}, notes={name: "mine"}), tmp_path, "note")


def test_a_key_without_a_record_gives_none(tmp_path):
    assert read_record(tmp_path, "nothing") is None


def test_the_first_of_two_writers_wins(tmp_path):
    for value in (1.0, 2.0):
        write_record(record(value), tmp_path, "same")
    found = read_record(tmp_path, "same")
    assert found is not None
    assert float(found.arrays["double"][0]) == 1.0


def test_a_damaged_record_is_removed_so_that_it_is_made_again(tmp_path):
    write_record(record(), tmp_path, "broken")
    (tmp_path / "broken.zarr" / "zarr.json").write_text("{")
    assert read_record(tmp_path, "broken") is None
    write_record(record(3.0), tmp_path, "broken")
    assert read_record(tmp_path, "broken") is not None


def test_nothing_but_records_is_left(tmp_path):
    write_record(record(), tmp_path, "only")
    assert [path.name for path in tmp_path.iterdir()] == ["only.zarr"]
