"""Every program in docs/how-to runs, in the order of its page, on phantom scans."""

import shutil
import subprocess
from pathlib import Path

import pytest

from docs.how_to import PAGES, Block, every_block, run_block, write_material

BLOCKS = every_block()


def name_of(block: Block) -> str:
    return f"{block.page}-{block.number}"


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("how-to") / "material"
    place.mkdir()
    write_material(place)
    return place


@pytest.fixture(scope="session")
def folders(material: Path) -> dict[str, Path]:
    """One folder a page, made when the page's first block runs."""
    return {"material": material}


def folder_of(page: str, folders: dict[str, Path]) -> Path:
    """The page's folder, with a registration in `out/` if the page begins after one."""
    if page not in folders:
        folder = folders["material"].parent / page
        shutil.copytree(folders["material"], folder)
        if not any("-o out/" in block.text or 'save("out/")' in block.text for block in BLOCKS if block.page == page):
            text = "samereg register -f fixed.nii.gz -m moving.nii.gz -o out/ --preset fast"
            done = run_block(Block(page=page, number=0, language="bash", text=text), folder)
            assert done.returncode == 0, done.stderr
        folders[page] = folder
    return folders[page]


def test_there_is_a_page_for_every_link_between_pages() -> None:
    for page in PAGES.glob("*.md"):
        for target in [part.split(")")[0] for part in page.read_text(encoding="utf-8").split("](")[1:]]:
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_a_program_can_be_parsed(block: Block) -> None:
    if block.language == "python":
        compile(block.text, name_of(block), "exec")
    else:
        subprocess.run(["bash", "-nc", block.text], check=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_a_program_runs(block: Block, folders: dict[str, Path]) -> None:
    if block.missing_program:
        pytest.skip(f"needs {block.missing_program}")
    done = run_block(block, folder_of(block.page, folders))
    assert done.returncode == 0, done.stdout + done.stderr
