"""A clip played in Chromium to its end, and the frame that it shows then. As a program it keeps
this frame as a picture:

python -m tests.played_clip CLIP.mp4 PICTURE.png
"""

import argparse
import sys
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if __name__ == "__main__":  # pytest has this folder on its path
    sys.path.insert(0, str(Path(__file__).parent))

from chromium import Chromium

_PAGE = """<!doctype html><video muted src="data:video/mp4;base64,CLIP"></video><script>
const video = document.querySelector('video');
window.shown = new Promise((done, failed) => {
  video.onerror = () => failed(new Error(video.error.message));
  video.onended = () => {
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d').drawImage(video, 0, 0);
    done([canvas.width, canvas.height, video.duration,
          video.getVideoPlaybackQuality().totalVideoFrames,
          ...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]);
  };
  video.play();
});
</script>"""


@dataclass(frozen=True)
class PlayedClip:
    """What the page saw."""

    pixels: NDArray[np.uint8]  # [height, width, 3], RGB, of the last frame
    seconds: float
    n_frames: int


def play(mp4: bytes, folder: Path) -> PlayedClip:
    """Plays a clip in a page that is written into `folder`, beside the browser's profile."""
    page = folder / "page.html"
    # In the page itself: what comes from files may not be read back from a canvas.
    page.write_text(_PAGE.replace("CLIP", b64encode(mp4).decode()))
    with Chromium(folder / "profile") as browser:
        browser.open(page, width=400)
        width, height, seconds, n_frames, *samples = browser.evaluate("window.shown")
    pixels = np.array(samples, np.uint8).reshape(height, width, 4)[:, :, :3]
    return PlayedClip(pixels, seconds, n_frames)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("picture", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        played = play(args.clip.read_bytes(), Path(folder))
    Image.fromarray(played.pixels).save(args.picture)


if __name__ == "__main__":
    _main()
