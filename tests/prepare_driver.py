"""`python -m tests.prepare_driver CORPUS OUTPUT WORKERS`: a run of `valle prepare` with a slow toy codec, to be killed."""

import sys
from pathlib import Path

from pipelines import prepare
from pipelines.console import Console
from pipelines.executors.local import LocalExecutor
from tests.prepare_dummies import config
from tests.toy_codec import ToyCodec

DELAY_S = 0.02


def main() -> int:
    folder, output, workers = sys.argv[1:]
    settings = config(Path(folder), codec=ToyCodec.Config(delay_s=DELAY_S))
    return prepare.run(settings, Path(output), executor=LocalExecutor.Config(workers=int(workers), max_attempts=20), console=Console(as_json=True))


if __name__ == "__main__":
    sys.exit(main())
