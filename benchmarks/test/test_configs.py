"""Pins that the benchmarks' configs read as they always did: their JSON is part of the identity of runs and results."""

import hashlib
import json
from pathlib import Path

import lwd_benchmarks
from lwd_benchmarks.methods.diffusion_policy.config import DiffusionPolicyConfig
from lwd_benchmarks.studies.matrix import Study

from lwd_ros.learning.config import TrainConfig

CONFIG = Path(lwd_benchmarks.__file__).parents[1] / "config"
GOLDEN = {
    "avoiding_episode": "38e2c818f925a71dbd0ceafc829df15ef7b7b3c3f1cbd712f8a9287c9e08bf36",
    "avoiding_16": "879ec50f0ba97c86466f1fea39444e303748cebb09d6a28ee19c8b638c1e5dd8",
    "horizon_128": "769e7ab9136e2bd168bb8de8aad65e4a9281dae502418c6a151fa668dd85ae46",
    "horizon_16": "96a2366a5afc5e8b627813694416b3714be11c66e0663e0b556a2615d86c1612",
    "horizon_16_10k": "b2bf3b250593d8f65f88ff8a971aafc6858d35222729f729f09e86953c052f6c",
    "horizon_16_large": "a144860c536b3452570416e5a029c3de6bda89d05807270ad948dca2d8e4f351",
    "horizon_16_robust": "7e42430664d1a00845e594748909352653d27d50d0095cb24d4593bc60d1dcb9",
    "horizon_episode": "11ffa42ee2a381c1021df5b631ad454a15fae8e195f78685112c48bcc648e387",
    "horizon_episode_10k": "79bf5656a116ad2b99b544f61194573a8183fd5ec2ec449cc9f753d04b32dc88",
    "pilot_1e-3": "3969e19c41d1774cd72cbc71e721ef6271cea1220b6e8cd3633e800b873fb45f",
    "pilot_3e-4": "78b918bb8dcc57e7209db275c329c6691b306e7dbfce8150af0c4b09fad76ae4",
}
"""SHA-256 of the JSON of every config of Diffusion Policy."""
STUDY = "83e403ef0483303a408aefcd716426fe8e45bfd83cbc28489f412da09b3f9929"
"""SHA-256 of the JSON of the training configs of the study's jobs, but for those with keys that came later."""


def test_every_config_of_diffusion_policy_gives_the_json_that_runs_and_model_files_hold():
    found = {}
    for path in sorted((CONFIG / "diffusion_policy").glob("*.yaml")):
        content = json.dumps(DiffusionPolicyConfig.load(path).to_dict())
        found[path.stem] = hashlib.sha256(content.encode()).hexdigest()
    assert found == GOLDEN


def test_every_job_of_the_study_of_methods_trains_by_the_same_config_as_ever():
    total = hashlib.sha256()
    for job in Study.load(CONFIG / "study" / "metaworld.yaml").jobs:
        if job.config and not {"normalisation", "asked"} & set(dict(job.changes)):  # those came later
            config = TrainConfig.load(job.config).changed({**dict(job.changes), "seed": job.seed})
            total.update(json.dumps(config.to_dict()).encode())
    assert total.hexdigest() == STUDY
