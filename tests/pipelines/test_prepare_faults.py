"""A disk that fails at any one write leaves the state before or after it, and the same command finishes the job."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.prepare_dummies import config, corpus, result, run
from valle_data import files
from valle_data.errors import ExitCode, InputError, ReasonCode
from valle_data.shards.commit import check_part, committed_parts

FAULTS = ("open", "write", "fsync", "replace", "link", "makedirs")


class FaultyOs:
    """`os`, whose call number `fail_at` among FAULTS fails; a write may leave half of its bytes behind."""

    def __init__(self, fail_at: int, code: int) -> None:
        self.fail_at, self.code, self.calls = fail_at, code, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in FAULTS:
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls != self.fail_at:
                return real(*arguments, **options)
            if name == "write" and self.code == errno.ENOSPC:
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise OSError(self.code, os.strerror(self.code))

        return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("faults") / "corpus", speakers=2, each=3)


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> dict[str, bytes]:
    run(config(folder), folder.parent / "undisturbed")
    return result(folder.parent / "undisturbed")


@pytest.mark.parametrize(("code", "step"), [(errno.ENOSPC, 1), (errno.EIO, 5), (errno.EROFS, 7)], ids=["disk full", "io error", "read-only"])
def test_a_fault_at_every_write(code: int, step: int, folder: Path, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = 0
    for fail_at in range(1, 1000, step):
        output = tmp_path / str(fail_at)
        faulty = FaultyOs(fail_at, code)
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", faulty)
            try:
                run(config(folder), output)
            except InputError as error:
                assert error.reason is ReasonCode.STORAGE_FAILED and error.exit_code is ExitCode.RUN_FAILED
                assert os.strerror(code) in str(error) and "it resumes" in str(error)
                failed += 1
        if faulty.calls < fail_at:
            break
        assert not list(output.rglob(".tmp-*")), f"call {fail_at} left a temporary file"
        assert all(check_part(output, record) == [] for record in committed_parts(output)), f"call {fail_at} tore a part"
        assert run(config(folder), output)[0] is ExitCode.DONE
        assert result(output) == undisturbed, f"after a fault at call {fail_at} the result differs"
    assert failed == (fail_at - 1) // step > 50 // step, "every call was tried, and every fault was reported"


def test_a_folder_that_cannot_be_made_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file")
    with pytest.raises(InputError, match="Could not create the folder") as caught:
        run(config(folder), tmp_path / "set")
    assert caught.value.reason is ReasonCode.STORAGE_FAILED
