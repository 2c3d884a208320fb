import torch

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
    assert found.arrays["half"].dtype == torch.float16
    assert torch.equal(found.arrays["half"], record().arrays["half"].half())


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
