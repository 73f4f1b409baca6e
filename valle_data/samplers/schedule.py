"""Where blocks begin: the curriculum's stages first, then epochs cut into blocks of equal size."""

from dataclasses import dataclass

CURRICULUM_STAGES = 16
MIN_BATCHES = 64


@dataclass(frozen=True)
class Schedule:
    """Blocks of nominal draws.

    The first `stages` blocks share `curriculum_draws`; then every `epochs_per_block` epochs of `epoch` draws make `blocks_per_epoch` blocks (one of the two
    is 1), so that an epoch's end is always a block's end.
    """

    epoch: int
    curriculum_draws: int
    stages: int
    epochs_per_block: int
    blocks_per_epoch: int

    @classmethod
    def fit(cls, num_rows: int, block_draws: int, curriculum_draws: int, batches_per_epoch: float) -> "Schedule":
        """Blocks of at most `block_draws` draws, but never less than a small corpus whole.

        A corpus whose epoch fills fewer than `MIN_BATCHES` micro-batches is taken several epochs at a time, each utterance then occurring so many times in a
        block: the one micro-batch that is left half empty at a block's end would otherwise be a large share of all.
        """
        epochs = max(1, min(int(-(-MIN_BATCHES // batches_per_epoch)), block_draws // num_rows))
        blocks = 1 if epochs > 1 else -(-num_rows // block_draws)
        return cls(num_rows, curriculum_draws, min(CURRICULUM_STAGES, curriculum_draws), epochs, blocks)

    def start(self, block: int) -> int:
        """Nominal draws before `block`."""
        if block < self.stages:
            return self.curriculum_draws * block // self.stages
        return self.curriculum_draws + (block - self.stages) * self.epoch * self.epochs_per_block // self.blocks_per_epoch

    def share(self, block: int) -> float:
        """The shortest share of every class that `block` draws from."""
        return (block + 1) / self.stages if block < self.stages else 1.0
