"""`python -m tests.prepare_driver CORPUS OUTPUT WORKERS [ADDRESS]`: a run of `valle prepare` with a slow toy codec, to be killed.

With an address, on the Ray cluster there, decoding in one pool and the rest in another.
"""

import sys
from pathlib import Path

from pipelines import prepare
from pipelines.console import Console
from pipelines.executors import EXECUTORS
from pipelines.executors.local import LocalExecutor
from tests.prepare_dummies import config
from tests.toy_codec import ToyCodec

DELAY_S = 0.02
POOLS = [{"stages": ["decode"], "num_cpus": 0.5}, {"stages": ["phonemize", "quantize"], "num_cpus": 0.5}]


def main() -> int:
    folder, output, workers, *address = sys.argv[1:]
    settings = config(Path(folder), codec=ToyCodec.Config(delay_s=DELAY_S), pools=POOLS if address else ())
    limits = {"workers": int(workers), "max_attempts": 20}
    executor = EXECUTORS["ray"].Config(address=address[0], **limits) if address else LocalExecutor.Config(**limits)
    return prepare.run(settings, Path(output), executor=executor, console=Console(as_json=True))


if __name__ == "__main__":
    sys.exit(main())
