"""`valle doctor`: says what is there; exit 4 when something required is missing."""

import io
import json

import pytest

from pipelines import doctor
from pipelines.console import Console
from valle_data.errors import ExitCode
from valle_data.registry import Table


def test_this_machine_has_what_is_required():
    out = io.StringIO()
    code = doctor.run(Console(as_json=True, stdout=out))
    result = json.loads(out.getvalue())
    checks = {check["name"]: check for check in result["checks"]}
    assert code == ExitCode.DONE and result["ok"]
    assert {
        "python",
        "valle",
        "torch",
        "phonemizer espeak",
        "codec mini",
        "codec encodec",
        "shard format hdf5",
        "executor local",
        "audio formats",
        "cores",
        "memory",
        "free disk",
    } <= checks.keys()
    assert "languages" in checks["phonemizer espeak"]["value"] and "MP3" in checks["audio formats"]["value"]


def test_a_missing_package_is_named_with_its_install_line():
    check = doctor.package("no-such-package<2,>=1.0")
    assert (check.name, check.ok, check.required, check.remedy) == ("no-such-package", False, True, "pip install 'no-such-package<2,>=1.0'")


def test_exit_4_when_something_required_is_missing(monkeypatch):
    monkeypatch.setattr(doctor, "all_checks", lambda: iter([doctor.package("no-such-package"), doctor.Check("cuda", "none", False)]))
    out = io.StringIO()
    assert doctor.run(Console(stdout=out)) == ExitCode.ENVIRONMENT
    assert "MISSING" in out.getvalue() and "1 required things are missing: no-such-package." in out.getvalue()


def test_what_is_optional_never_fails(monkeypatch):
    monkeypatch.setattr(doctor, "all_checks", lambda: iter([doctor.Check("cuda", "none", False, remedy="Not needed.")]))
    out = io.StringIO()
    assert doctor.run(Console(stdout=out)) == ExitCode.DONE
    assert "not here" in out.getvalue()


@pytest.mark.parametrize(("name", "required"), [("mini", True), ("encodec", False)])
def test_a_codec_whose_package_is_missing_is_told_apart(name, required):
    class Broken(Table):
        def __getitem__(self, key):
            raise ImportError(f"no {key}")

    (check,) = doctor.entries(Broken("codec", {name: ""}))
    assert (check.ok, check.required, check.remedy) == (False, required, f"no {name}")
