"""What a training of Diffusion Policy can be told; the defaults are the published ones where no reason is given."""

from dataclasses import field

from lwd_ros.learning.config import (
    Config,
    Count,
    Digest,
    Flag,
    Layers,
    Number,
    SensingConfig,
    Share,
    Text,
    TrainConfig,
    Whole,
    settings,
)

METHOD = "diffusion_policy"
"""Its name, beside those of `lwd_benchmarks.methods`."""


@settings
class DiffusionPolicyConfig(Config):
    """One network, for one prediction horizon.

    Windows begin at the present step, where the published code has them begin at the first observed one: the same but
    for one past action, which is never executed, so that a horizon of 16 can be executed whole.
    """

    name: Text
    seed: Whole = 0
    prediction_horizon: Count = 16  # actions that are predicted at once; divisible by 4 with three levels
    observation_steps: Count = 2
    channels: Layers = (64, 128, 256)  # published: 256-512-1024
    steps: Whole = 30_000
    batch: Count = 256
    bfloat16: Flag = False  # compute the network in bfloat16 while training, where PyTorch's autocast deems that safe
    learning_rate: Number = 1e-4
    warmup_steps: Whole = 500  # linear, then a cosine to 0
    weight_decay: Number = 1e-6
    ema_power: Number = 0.75
    training_steps: Count = 100  # of diffusion
    sampling_steps: Count = 10  # of DDIM
    first_share: Share = 0.0  # of the windows, those that begin where episodes begin: where a long horizon is queried
    sensing: SensingConfig = field(default_factory=SensingConfig)  # as LWD has it; all observed steps are late alike
    data_digest: Digest = ""  # beginning of the dataset's digest; empty: any dataset
    demonstrations_per_task: Whole = 0  # only the first so many fresh starts of each task; 0: every demonstration

    def of_data(self) -> TrainConfig:
        """What concerns the data, as LWD's training has it: normalisation per task, actions in ±1."""
        return TrainConfig(
            self.name,
            sensing=self.sensing,
            data_digest=self.data_digest,
            demonstrations_per_task=self.demonstrations_per_task,
        )
