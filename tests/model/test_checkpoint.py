"""Checkpoints exist whole or not at all, and a broken one is never used in silence (row 22 of the fault table)."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.model.helpers import IDS, model
from valle_data.errors import InputError, ReasonCode
from valle_data.records import CodecSpec
from valle_data.text.vocabulary import Vocabulary
from valle_model.card import ModelCard
from valle_model.checkpoint import MODEL, Checkpoint, find_newest, keep_last, load_weights, resolve, save_checkpoint, step_folders, sweep
from valle_model.valle import ModelConfig

CARD = ModelCard(
    config=ModelConfig.model_validate({"architecture": {"name": "llama", "width": 32, "depth": 2, "heads": 2, "feedforward": 48}, "frames_per_phone": 1.5}),
    vocabulary=Vocabulary(tuple("abcdefghijk")),
    languages=IDS.languages,
    tasks=IDS.tasks,
    codec=CodecSpec("mini", "0" * 64, 24000, 25.0, IDS.num_levels, IDS.codebook_size),
    codec_config={"name": "mini"},
    phonemizer_config={"name": "characters"},
    phonemizer_version="1",
)


def save(run: Path, step: int) -> Path:
    return save_checkpoint(run, step, Checkpoint(CARD, model(seed=step).state_dict(), {"0.step": torch.tensor(float(step))}, {"step": step}))


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    folder = save(tmp_path, 7)
    assert ModelCard.load(folder) == CARD
    net = model(seed=99)
    load_weights(net, folder)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), model(seed=7).state_dict().values(), strict=True))
    assert resolve(tmp_path).folder == resolve(folder).folder == folder


def test_weights_open_with_plain_safetensors(tmp_path: Path) -> None:
    assert load_file(save(tmp_path, 1) / MODEL).keys() == model().state_dict().keys()


@pytest.mark.parametrize("damage", ["truncate", "flip", "no manifest", "missing file", "half manifest"])
def test_the_newest_complete_checkpoint_is_used_and_the_broken_one_named(tmp_path: Path, damage: str) -> None:
    older, newer = save(tmp_path, 1), save(tmp_path, 2)
    weights, manifest = newer / MODEL, newer / "manifest.json"
    data = bytearray(weights.read_bytes())
    if damage == "truncate":
        weights.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[len(data) // 2] ^= 4
        weights.write_bytes(data)
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "missing file":
        (newer / "optimizer.safetensors").unlink()
    else:
        manifest.write_text(manifest.read_text()[:40])
    found = find_newest(tmp_path)
    assert found.folder == older
    assert len(found.broken) == 1 and newer.name in found.broken[0]


def test_checkpoints_that_are_all_broken_are_an_error_not_a_fresh_start(tmp_path: Path) -> None:
    (save(tmp_path, 1) / MODEL).unlink()
    with pytest.raises(InputError, match="None of the 1 checkpoints") as error:
        find_newest(tmp_path)
    assert error.value.reason is ReasonCode.BROKEN_CHECKPOINT


def test_a_run_without_checkpoints_starts_from_nothing(tmp_path: Path) -> None:
    assert find_newest(tmp_path).folder is None
    with pytest.raises(InputError, match="holds no checkpoint"):
        resolve(tmp_path)
    with pytest.raises(InputError, match="holds no checkpoint"):
        resolve(tmp_path / "nowhere")


def test_a_killed_save_leaves_nothing_that_is_read(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    shutil.copytree(folder, folder.parent / ".step-000000002.tmp")
    assert find_newest(tmp_path).folder == folder
    sweep(tmp_path)
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_a_complete_checkpoint_of_the_same_step_is_left_alone_and_a_broken_one_replaced(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    before = (folder / "manifest.json").stat().st_ino
    save(tmp_path, 1)
    assert (folder / "manifest.json").stat().st_ino == before
    (folder / MODEL).unlink()
    save(tmp_path, 1)
    assert find_newest(tmp_path).folder == folder


def test_broken_checkpoints_do_not_push_out_complete_ones(tmp_path: Path) -> None:
    folders = [save(tmp_path, step) for step in (1, 2, 3)]
    (folders[2] / MODEL).unlink()
    keep_last(tmp_path, 1)
    assert step_folders(tmp_path) == [folders[2], folders[1]]
    assert find_newest(tmp_path).folder == folders[1]


def test_a_card_that_this_version_cannot_build_is_a_mismatch(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    card = json.loads((folder / "model.json").read_text())
    card["config"]["architecture"]["depht"] = 3
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"cannot build .*depht") as error:
        ModelCard.load(folder)
    assert error.value.reason is ReasonCode.CHECKPOINT_MISMATCH


def test_keep_last_removes_the_oldest(tmp_path: Path) -> None:
    folders = [save(tmp_path, step) for step in (1, 2, 10)]
    keep_last(tmp_path, 2)
    assert step_folders(tmp_path) == [folders[2], folders[1]]


def test_a_mismatch_lists_the_tensors_and_changes_nothing(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    tensors = load_file(folder / MODEL)
    tensors["output.weight"] = tensors["output.weight"][:-1].contiguous()
    tensors["stranger"] = torch.zeros(1)
    del tensors["backbone.model.norm.weight"]
    save_file(tensors, folder / MODEL)
    net = model(seed=3)
    with pytest.raises(InputError) as error:
        load_weights(net, folder)
    for part in ("backbone.model.norm.weight missing", "stranger unexpected", "output.weight [64, 32] instead of [65, 32]"):
        assert part in str(error.value)
    assert torch.equal(net.output.weight, model(seed=3).output.weight)


def test_differences_name_both_sides() -> None:
    other = replace(CARD, codec=replace(CARD.codec, weights_hash="f" * 64), vocabulary=Vocabulary(tuple("abcdefghijx")))
    text = " ".join(CARD.differences(other))
    assert "weights 000000000000" in text and "weights ffffffffffff" in text and "vocabulary" in text
    assert CARD.differences(CARD) == []


def test_a_card_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, "schema_version": 99}))
    with pytest.raises(InputError, match="schema version 99"):
        ModelCard.load(folder)
