"""What it takes to convert 35 photos of 12 MB and to put them where the public finds them.

    python benchmarks/photos.py [--photos 35]

Memory is the peak over what the process had after its imports (Linux). The public storage is a folder that a web
server on the loopback interface shows.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from PIL import Image

from tiktok_provider.publishing.media.photo_files import PhotoFiles
from tiktok_provider.publishing.media.public_album import PublicAlbum

# Of noise, which no format compresses well: about 12 MB in both.
_FORMATS = {"JPEG": ((4000, 3000), {"quality": 95}), "PNG": ((2300, 1750), {})}


def make_photo(path: Path, kind: str) -> None:
    """Write a photo of about 12 MB."""
    (width, height), options = _FORMATS[kind]
    Image.frombytes("RGB", (width, height), os.urandom(width * height * 3)).save(path, kind, **options)


def measure(folder: Path, kind: str, number: int) -> None:
    """Convert and publish, in a process of its own, and print a row of the table."""
    photos = [folder / f"{place}.{kind.lower()}" for place in range(number)]
    public = folder / "public"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(public)))
    Thread(target=server.serve_forever, daemon=True).start()
    album = PublicAlbum(str(public), f"http://127.0.0.1:{server.server_port}")
    media = PhotoFiles(photos, lambda: album, lambda: "a-post")
    base, begun = _peak(), time.monotonic()
    media.prepare(lambda: None)
    seconds = time.monotonic() - begun
    size = sum(photo.stat().st_size for photo in photos) / number / 1e6
    print(f"| {number} {kind}s of {size:.1f} MB | {seconds:.1f} | {(_peak() - base) / 1e6:.1f} |")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _peak() -> int:
    """Return the most bytes that this process has had; ``ru_maxrss`` would be its parent's."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Make the photos, and measure each format in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=35)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "FORMAT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(Path(options.measure[0]), options.measure[1], options.photos)
        return
    print("| photos | seconds | peak over the base, MB |\n|---|--:|--:|", flush=True)
    for kind in _FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            for place in range(options.photos):
                make_photo(Path(folder) / f"{place}.{kind.lower()}", kind)
            (Path(folder) / "public").mkdir()
            command = [sys.executable, __file__, "--photos", str(options.photos), "--measure", folder, kind]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
