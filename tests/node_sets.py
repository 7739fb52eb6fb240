"""Nodes of three sets, as the fusion of frames, sound and sentences takes them."""

import numpy as np

SETS = {"frame": (5, 8), "sound": (4, 6), "sentence": (3, 10)}


def some_nodes(seed=0, batch=3, sets=SETS):
    rng = np.random.default_rng(seed)
    found = {}
    for name, (count, features) in sets.items():
        begin = np.sort(rng.uniform(0, 10, (batch, count)), axis=1)
        times = np.stack([begin, begin + rng.uniform(0, 2, begin.shape)], axis=-1)
        mask = rng.random((batch, count)) < 0.7
        found[name] = [rng.normal(size=(batch, count, features)), mask, times]
    return {
        name: [x.astype(np.float32), mask, times.astype(np.float32)]
        for name, (x, mask, times) in found.items()
    }
