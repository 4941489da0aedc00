"""Publish a real video through a real Airflow to the sandbox, and show the post. Run by demo.sh."""

import argparse
import hashlib
import json
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

from rich.console import Console

import consent
from local_airflow import LocalAirflow
from local_sandbox import LocalSandbox, local_sandbox
from narration import Narrator, StepError
from tiktok_provider.publishing.media.video_checks import check
from tiktok_provider.publishing.media.video_file import VideoFile
from tiktok_sandbox.clips import make_clip

CHECKOUT = Path(__file__).resolve().parent.parent
DAG_ID = "tiktok_publish_video"
CONNECTION_ID = "tiktok_default"
OTHER_CONNECTION_ID, OTHER_USERNAME = "tiktok_other", "other_creator"
# Beside ten minutes for everything else, at a rate that any disk can keep up with.
BYTES_PER_SECOND = 5_000_000


@dataclass(frozen=True)
class Published:
    """What came out, as `--once` prints it.

    :param sha256: of the file as the sandbox received it.
    :param seconds: from the start of the DAG run to the post id.
    """

    publish_id: str
    post_id: str
    status: str
    sha256: str
    seconds: float


class Interrupted(BaseException):
    """A signal asked us to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


class Demo:
    """The steps of the demo; everything that they start ends with `cleanup`."""

    def __init__(self, narrator: Narrator, cleanup: ExitStack, folder: Path) -> None:
        self._narrator = narrator
        self._cleanup = cleanup
        self._folder = folder

    def run(self, video: Path | None) -> Published:
        """Do all of it and return the post."""
        self.video = self._prepare_video(video)
        self.sandbox = self._start_sandbox()
        self.airflow = self._start_airflow()
        return self._publish()

    def serve(self) -> None:
        """Keep everything running for a person to look at, until a signal comes."""
        self._narrator.say("")
        self._narrator.say(f"Posts      {self.sandbox.url}/")
        self._narrator.say(f"Airflow    {self.airflow.url}/dags/{DAG_ID}")
        self._narrator.say(
            "Trigger the DAG there to publish again: its form has the video filled in, and takes"
            f" {CONNECTION_ID} or {OTHER_CONNECTION_ID} as the account's connection."
        )
        with self._narrator.step("Serve until Ctrl-C", self.airflow.logs):
            while True:
                time.sleep(1)
                self.airflow.check_components()

    def _prepare_video(self, video: Path | None) -> Path:
        if video is None:
            with self._narrator.step("Make a video"):
                return make_clip(self._folder / "clip.mp4", text="Hello from Airflow")
        with self._narrator.step("Check the video"):
            file = VideoFile(video)
            violations = check(file.facts)
            if violations:
                raise ValueError("; ".join(str(violation) for violation in violations))
            return video.absolute()

    def _start_sandbox(self) -> LocalSandbox:
        log = self._folder / "sandbox.log"
        with self._narrator.step("Start the sandbox", log):
            return self._cleanup.enter_context(local_sandbox(self._folder, log))

    def _start_airflow(self) -> LocalAirflow:
        airflow = LocalAirflow(
            self._folder / "airflow",
            [CHECKOUT / "dags"],
            {"tiktok": {"allowed_hosts": self.sandbox.url}},
            say=self._narrator.update,
            # The sandbox starts empty, too: an older run's links would lead nowhere.
            empty=True,
        )
        airflow.env["TIKTOK_EXAMPLE_VIDEO"] = str(self.video)
        with self._narrator.step("Start Airflow", airflow.logs):
            self._cleanup.enter_context(airflow)
            airflow.wait_for_dag(DAG_ID)
        log = self._folder / "connect.log"
        with self._narrator.step("Connect two creators, one through the consent page", log):
            consent.connect(airflow, self.sandbox, CONNECTION_ID, log)
            self._connect_another(airflow)
        return airflow

    def _connect_another(self, airflow: LocalAirflow) -> None:
        """Connect a second creator with tokens alone, so that the form has a choice."""
        tokens = self.sandbox.another_creator(OTHER_USERNAME)
        airflow.put_connection(
            OTHER_CONNECTION_ID,
            conn_type="tiktok",
            login=self.sandbox.credentials["client_key"],
            password=self.sandbox.credentials["client_secret"],
            host=self.sandbox.url,
            extra=json.dumps({**tokens, "authorize_url": f"{self.sandbox.url}/v2/auth/authorize/"}),
        )

    def _publish(self) -> Published:
        size = self.video.stat().st_size
        conf = {
            "video": str(self.video),
            "title": "Hello from Airflow",
            "privacy_level": "PUBLIC_TO_EVERYONE",
        }
        with self._narrator.step(f"Publish {self.video.name} ({size / 1e6:.1f} MB)", self.airflow.logs):
            started = time.monotonic()
            run_id = self.airflow.trigger(DAG_ID, conf)
            timeout = 600 + size / BYTES_PER_SECOND
            state = self.airflow.wait_for_run(
                DAG_ID, run_id, timeout, on_poll=lambda _: self._narrator.update(self._progress(run_id))
            )
            seconds = round(time.monotonic() - started, 1)
            task = self.airflow.task_instances(DAG_ID, run_id)[-1]
            if state != "success":
                raise self._failure(run_id, task)
        with self._narrator.step("Compare what arrived with the file"):
            result = self.airflow.xcom(DAG_ID, run_id, task["task_id"])
            if not result["post_ids"]:
                raise ValueError(f"the task succeeded without the id of the post: {result}")
            post = self._received(result["publish_id"])
        self._show(post, result, f"{self.airflow.url}{_task_page(run_id, task['task_id'])}", seconds)
        return Published(
            result["publish_id"], result["post_ids"][0], result["status"], post["sha256"], seconds
        )

    def _progress(self, run_id: str) -> str:
        self.airflow.check_components()
        states = [
            f"task {task['task_id']} {task['state'] or 'scheduled'}"
            + (" (waits in the triggerer)" if task["state"] == "deferred" else "")
            for task in self.airflow.task_instances(DAG_ID, run_id)
        ]
        uploads = [
            f"TikTok: {publish['status']}, {(publish['uploaded_bytes'] or 0) / 1e6:.1f} MB received"
            for publish in self.sandbox.publishes()[-1:]
        ]
        return ", ".join(states + uploads)

    def _failure(self, run_id: str, task: dict[str, Any]) -> Exception:
        text = self.airflow.task_log(DAG_ID, run_id, task["task_id"], task["try_number"])
        errors = [
            line.partition(" ")[2].removeprefix("Task failed with exception ")
            for line in text.splitlines()
            if line.startswith(("error", "critical"))
        ]
        log = self.airflow.task_log_file(DAG_ID, run_id, task["task_id"], task["try_number"])
        reason = "\n".join(errors) or f"the task ended as {task['state']}"
        return StepError(f"Publish {self.video.name}", reason, log)

    def _received(self, publish_id: str) -> dict[str, Any]:
        posts = [post for post in self.sandbox.feed() if post["publish_id"] == publish_id]
        if not posts:
            raise ValueError(f"the task succeeded, but {publish_id} is not in the feed of the sandbox")
        with self.video.open("rb") as file:
            expected = hashlib.file_digest(file, "sha256").hexdigest()
        if posts[0]["sha256"] != expected:
            raise ValueError(f"SHA-256 {posts[0]['sha256']} arrived, the file has {expected}")
        return posts[0]

    def _show(self, post: dict[str, Any], result: dict[str, Any], task_page: str, seconds: float) -> None:
        for name, value in (
            ("Post", result["post_ids"][0]),
            ("Status", result["status"]),
            ("Sandbox", post["page_url"]),
            ("Airflow", task_page),
            ("SHA-256", f"{post['sha256']}, the same as the file's"),
            ("Time", f"{seconds:.1f} s from the start of the DAG run"),
        ):
            self._narrator.say(f"{name:<10} {value}")


def main() -> int:
    """Run the demo and return its exit code."""
    arguments = _arguments()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    narrator = Narrator(Console(stderr=arguments.once), arguments.folder / "demo.log")
    serving = False
    try:
        with ExitStack() as cleanup:
            cleanup.callback(narrator.say, "Everything is stopped.")
            _raise_on_signals()
            demo = Demo(narrator, cleanup, arguments.folder)
            try:
                published = demo.run(arguments.video)
                serving = not arguments.once
                if serving:
                    demo.serve()
            finally:
                narrator.say("Stopping ...")
    except StepError as failure:
        narrator.say(f"error: {failure.step}: {failure.reason}\nlog: {failure.log}")
        return 1
    except Interrupted as interruption:
        return 0 if serving else interruption.exit_code
    print(json.dumps(asdict(published)))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo.sh",
        description="Publish a video through a real Airflow to the sandbox, a local TikTok, and show the post.",
    )
    parser.add_argument("video", nargs="?", type=Path, metavar="VIDEO", help="default: a clip made for this")
    parser.add_argument(
        "--once", action="store_true", help="stop when it is posted; the last line is one JSON object"
    )
    parser.add_argument(
        "--folder",
        type=lambda folder: Path(folder).absolute(),
        default=CHECKOUT / ".demo",
        help="where databases, logs and media are kept (default: .demo in the checkout)",
    )
    return parser.parse_args()


def _raise_on_signals() -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        del frame
        raise Interrupted(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup has SIGHUP ignored, and means it.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


def _task_page(run_id: str, task_id: str) -> str:
    return f"/dags/{DAG_ID}/runs/{quote(run_id, safe='')}/tasks/{task_id}"


if __name__ == "__main__":
    sys.exit(main())
