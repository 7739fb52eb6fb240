"""A small film cut from real clips, whose boundaries are known."""

import numpy as np

from sora_tf.video import frames_every, write

FPS = 10
CLIPS = [  # (clip, seconds); what follows on each other shows another place
    ("fight/fight/fi018.mp4", 1.8),
    ("pets09/vtest.avi", 5.0),
    ("drone/airplane/V_AIRPLANE_001.mp4", 3.0),
    ("sleap/clip.mp4", 9.0),
    ("fight/fight/fi079.mp4", 1.8),
    ("odd-videos/bipbop.mp4", 4.0),
    ("drone/helicopter/V_HELICOPTER_023.mp4", 6.0),
    ("drone/bird/V_BIRD_003.mp4", 2.5),
]


def make(path, data, clips=None):
    """Writes the film; the starts of its segments in s, and its end."""
    starts = [0.0]

    def frames():
        count = 0
        for name, seconds in clips or CLIPS:
            wanted = round(seconds * FPS)
            for given, (_, picture) in enumerate(
                frames_every(data / name, 1 / FPS, size=(120, 160)), 1
            ):
                yield picture
                if given == wanted:
                    break
            count += given
            starts.append(count / FPS)

    write(path, frames(), FPS)
    return np.asarray(starts)


def covered(starts, moments):
    """The segments of which some is shown."""
    middles = [(moment.start + moment.end) / 2 for moment in moments]
    return set((np.searchsorted(starts, middles, side="right") - 1).tolist())
