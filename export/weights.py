"""Takes from a run what the package ships of it: python export/weights.py RUN FOLDER.

RUN was trained by `sora-tf train --model lite`. FOLDER gets config.json, labels.txt and
weights.npz, without the frozen CNN; the model card is written by hand.
"""

import sys

from sora_tf.models.shipped import save_shipped
from sora_tf.models.sora import head_of
from sora_tf.train.run import Run

if len(sys.argv) != 3:
    sys.exit(__doc__)
run = Run(sys.argv[1])
config = run.read_config()
save_shipped(head_of(run.load_model()), config.model, config.labels, sys.argv[2])
