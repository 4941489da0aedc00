"""Our upload beside ``curl -T``, in one run, to a sink that reads and forgets, with the same chunks.

    python benchmarks/upload.py [--rounds 5] [--megabytes 60 512 4000] [--tls]

It needs a C compiler and OpenSSL's headers (on Debian: gcc and libssl-dev), curl and openssl.

The two take turns. For curl, time and CPU are those of its whole process, which starts in milliseconds. For us they
are those of the upload, on a client that is already there: in a task the upload follows two other calls. Memory is
the peak over what our process had after its imports, the making of the client included.
"""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tiktok_provider.api.chunks import ChunkPlan, plan_chunks

# The certificate that both clients trust, as for any program that uses OpenSSL.
TRUSTED = "SSL_CERT_FILE"


@dataclass(frozen=True)
class Measure:
    """One upload by one client."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


# --- the sink -------------------------------------------------------------------------------------------------


@contextmanager
def sink(folder: Path, certificate: Path | None) -> Iterator[str]:
    """Compile the sink, run it, and give its URL.

    :param certificate: with its key, for TLS; None: without TLS.
    """
    program = folder / "upload_sink"
    source = Path(__file__).parent / "upload_sink.c"
    subprocess.run(["cc", "-O2", "-o", program, source, "-lssl", "-lcrypto", "-lpthread"], check=True)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        descriptor = listener.fileno()
        command = [str(program), str(descriptor), *([str(certificate)] if certificate else [])]
        process = subprocess.Popen(command, pass_fds=[descriptor])
        try:
            yield f"{'https' if certificate else 'http'}://localhost:{listener.getsockname()[1]}"
        finally:
            process.kill()
            process.wait()


def write_certificate(folder: Path) -> Path:
    """Make a key and a certificate for localhost, both in one file."""
    key, certificate, both = (folder / name for name in ("key.pem", "certificate.pem", "both.pem"))
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", *kind, *names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both


# --- the two clients ------------------------------------------------------------------------------------------


def curl(url: str, plan: ChunkPlan, folder: Path) -> Measure:
    """Upload with one curl process, a ``-T`` for each chunk, on one connection."""
    config = folder / "curl.config"
    config.write_text("\nnext\n".join(_curl_lines(url, plan, folder)))
    before, start = _children_cpu(), time.monotonic()
    process = subprocess.Popen(["curl", "--silent", "--show-error", "--fail", "--config", str(config)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"curl failed with status {status}")
    return Measure(time.monotonic() - start, _children_cpu() - before, usage.ru_maxrss * 1024)


def _curl_lines(url: str, plan: ChunkPlan, folder: Path) -> Iterator[str]:
    for chunk in plan.chunks():
        # curl sends whole files, so there is a sparse one of each length.
        part = folder / f"part-{chunk.size}"
        if not part.exists():
            with part.open("wb") as file:
                file.truncate(chunk.size)
        yield (
            f'url = "{url}/upload"\nupload-file = "{part}"\nsilent\nfail\n'
            f'header = "Content-Type: video/mp4"\nheader = "Expect:"\n'
            f'header = "Content-Range: bytes {chunk.first}-{chunk.last}/{plan.size}"'
            + (f'\ncacert = "{os.environ[TRUSTED]}"' if TRUSTED in os.environ else "")
        )


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ours(url: str, plan: ChunkPlan, video: Path) -> Measure:
    """Upload in a fresh process with the code that the operator runs."""
    environment = {
        **os.environ,
        "AIRFLOW__TIKTOK__ALLOWED_HOSTS": url,
        "AIRFLOW_CONN_TIKTOK_BENCHMARK": json.dumps(
            {
                "conn_type": "tiktok",
                "login": "fake-key",
                "password": "fake-secret",
                "host": url,
                "extra": {"access_token": "fake-token"},
            }
        ),
    }
    command = [sys.executable, __file__, "--upload", url, str(video), str(plan.size)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return Measure(**json.loads(done.stdout.splitlines()[-1]))


def upload(url: str, video: str, size: int) -> None:
    """Run in the process of its own: upload, and print the measure as JSON."""
    from tiktok_provider.hooks.tiktok import TikTokHook
    from tiktok_provider.publishing.chunk_stream import Upload
    from tiktok_provider.publishing.media.video_file import VideoFile

    def send(hook: TikTokHook, plan: ChunkPlan) -> None:
        sender = Upload(hook, VideoFile(video), plan, f"{url}/upload")
        for chunk in plan.chunks():
            sender.send(chunk)

    base = _reset_peak()
    with TikTokHook("tiktok_benchmark") as hook:
        # A real upload follows creator_info and init on the same client, so a byte goes first.
        send(hook, ChunkPlan(1, 1, 1))
        cpu, start = time.process_time(), time.monotonic()
        send(hook, plan_chunks(size))
        seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu
    measure = Measure(seconds, cpu_seconds, _peak() - base)
    print(json.dumps(asdict(measure)))


def _reset_peak() -> int:
    """Let the kernel forget the peak so far, and return what is in memory now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status_bytes("VmRSS")


def _peak() -> int:
    return _status_bytes("VmHWM")


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


# --- the run --------------------------------------------------------------------------------------------------


def compare(url: str, size: int, rounds: int, folder: Path) -> str:
    """Return one row of the table."""
    video = folder / f"{size}.mp4"
    with video.open("wb") as file:
        file.write(b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomiso2")
        file.truncate(size)
    plan = plan_chunks(size)
    pairs = []
    for number in range(rounds + 1):
        pair = ours(url, plan, video), curl(url, plan, folder)
        # The first round warms the page cache.
        if number:
            pairs.append(pair)
    ratios = [theirs.seconds / mine.seconds for mine, theirs in pairs]
    mine, theirs = zip(*pairs, strict=True)
    gigabytes = size / 1e9
    return (
        f"| {size / 1e6:,.0f} MB, {plan.count} chunk{'s' * (plan.count > 1)}"
        f" | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        f" | {_median_speed(size, mine):,.0f} | {_median_speed(size, theirs):,.0f}"
        f" | {statistics.median(m.cpu_seconds for m in mine) / gigabytes:.2f}"
        f" | {statistics.median(m.cpu_seconds for m in theirs) / gigabytes:.2f}"
        f" | {max(m.peak_bytes for m in mine) / 1e6:.1f} |"
    )


def _median_speed(size: int, measures: tuple[Measure, ...]) -> float:
    return statistics.median(size / m.seconds / 1e6 for m in measures)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[60, 512, 4000])
    parser.add_argument("--tls", action="store_true", help="as TikTok is: with TLS")
    parser.add_argument("--upload", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.upload:
        upload(arguments.upload[0], arguments.upload[1], int(arguments.upload[2]))
        return
    print(
        "| file | throughput, ours / curl: median (min to max) | ours, MB/s | curl, MB/s"
        " | our CPU s/GB | curl's CPU s/GB | our peak over the base, MB |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate = write_certificate(folder) if arguments.tls else None
        if certificate:
            os.environ[TRUSTED] = str(certificate)
        with sink(folder, certificate) as url:
            for megabytes in arguments.megabytes:
                print(compare(url, megabytes * 1_000_000, arguments.rounds, folder), flush=True)


if __name__ == "__main__":
    main()
