"""The extras install beside the rest: descript-audiotools pins protobuf below 3.20, which would drag ray and tensorboard back by years.

How that is solved: `[tool.uv]` in pyproject.toml overrides the pins, and `make` installs the lock file, resolved with them, without resolving again.
"""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
OLD_PINS = {"descript-audio-codec", "descript-audiotools", "encodec", "vocos", "resemblyzer"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def names(requirements: list[str]) -> set[str]:
    return {Requirement(requirement).name.lower().replace("_", "-") for requirement in requirements}


def test_the_core_names_none_of_the_packages_with_old_pins():
    """A plain `pip install valle` must not meet that chain."""
    core = names(project()["project"]["dependencies"])
    assert "torch" in core and not core & OLD_PINS


@pytest.mark.parametrize("extra", ["encodec", "dac", "vocos"])
def test_every_codec_that_needs_a_package_has_an_extra_that_names_it(extra: str):
    from valle_data.codecs import CODECS

    assert CODECS._extras[extra] == extra
    wanted = {"encodec": "encodec", "dac": "descript-audio-codec", "vocos": "vocos"}[extra]
    assert wanted in names(project()["project"]["optional-dependencies"][extra])


def test_the_overrides_still_answer_a_pin_that_exists():
    """Once upstream lets go of its pins, the overrides can go too."""
    if not installed("descript-audiotools"):
        pytest.skip("the extra `dac` is not installed")
    (pin,) = [Requirement(line) for line in requires("descript-audiotools") or [] if Requirement(line).name == "protobuf"]
    assert not pin.specifier.contains(version("protobuf")), "descript-audiotools accepts this protobuf: remove the override from [tool.uv]"
    overrides = [Requirement(line) for line in project()["tool"]["uv"]["override-dependencies"]]
    assert [str(line.specifier) for line in overrides if line.name == "protobuf"] == [">=5"]


@pytest.mark.parametrize(("name", "floor"), [("protobuf", "5"), ("ray", "2.55"), ("torch", "2.10"), ("tensorboard", "2.18")])
def test_what_the_old_pins_would_drag_back_is_current(name: str, floor: str):
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    assert Version(version(name)) >= Version(floor)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_files_hold_no_old_protobuf_or_ray(name: str):
    text = (ROOT / name).read_text(encoding="utf-8")
    for package, floor in (("protobuf", "5"), ("ray", "2.55")):
        for found in re.findall(rf"^{package}==([0-9.]+)", text, flags=re.MULTILINE):
            assert Version(found) >= Version(floor)


def test_all_of_them_import_in_one_process():
    """And protobuf messages of ray's own schema still work after `dac` was imported."""
    packages = ["dac", "vocos", "encodec", "ray"]
    missing = [name for name in packages if not installed({"dac": "descript-audio-codec"}.get(name, name))]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    program = f"import {', '.join(packages)}\nfrom ray.core.generated import common_pb2\nprint(common_pb2.Address(ip_address='127.0.0.1').SerializeToString())"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "127.0.0.1" in result.stdout
