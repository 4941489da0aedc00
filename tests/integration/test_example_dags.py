"""The example DAGs, run by ``dag.test()`` against the sandbox."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from PIL import Image

from tests.integration.alone import run_alone
from tiktok_sandbox.client import Sandbox
from tiktok_sandbox.clips import make_clip

CHECKOUT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.integration

SCRIPT = """
import json, runpy, sys
folder, name, conf = sys.argv[1:4]
dags = [value for value in runpy.run_path(f"{folder}/{name}.py").values() if type(value).__name__ == "DAG"]
run = dags[0].test(run_conf=json.loads(conf))
results = {ti.task_id: ti.xcom_pull(ti.task_id) for ti in run.get_task_instances()}
print(json.dumps({"state": str(run.state), "results": results}))
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def public_folder(folder: Path) -> Iterator[str]:
    """Show a folder to the public; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def creator_who_posts_drafts(sandbox: Sandbox) -> Iterator[None]:
    """Post each draft as soon as it is in the inbox."""
    ended = Event()

    def post() -> None:
        while not ended.wait(0.2):
            for draft in sandbox.feed():
                if draft["post_id"] is None:
                    url = f"{sandbox.url}/sandbox/publishes/{draft['publish_id']}/finish-draft"
                    httpx.post(url, json={}).raise_for_status()

    thread = Thread(target=post)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_folder_of_pngs_becomes_a_carousel(sandbox: Sandbox, tmp_path: Path) -> None:
    pictures, public = tmp_path / "pictures", tmp_path / "public"
    pictures.mkdir()
    public.mkdir()
    for name in ("2.png", "1.png"):
        Image.new("RGB", (1200, 1600), "teal" if name == "1.png" else "coral").save(pictures / name)
    (pictures / "notes.txt").write_text("no picture")
    conf = {"folder": str(pictures), "privacy_level": "PUBLIC_TO_EVERYONE", "title": "Spring"}
    with public_folder(public) as address:
        done = run_alone(
            SCRIPT,
            sandbox,
            tmp_path / "airflow",
            "tiktok_photo_carousel",
            json.dumps(conf),
            dags=CHECKOUT / "dags",
            allowed_hosts=address,
            extra={"publish_to": str(public), "public_base_url": address},
        )
    [post] = sandbox.feed()
    assert (done["state"], post["kind"], len(post["photo_sha256s"])) == ("success", "photo", 2)
    assert [Path(found).name for found in done["results"]["pictures"]] == ["1.png", "2.png"]
    assert done["results"]["publish"]["post_ids"] == [post["post_id"]]


def test_a_draft_is_waited_for_until_its_creator_posts_it(sandbox: Sandbox, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=1)
    with creator_who_posts_drafts(sandbox):
        done = run_alone(
            SCRIPT,
            sandbox,
            tmp_path / "airflow",
            "tiktok_draft",
            json.dumps({"video": str(clip)}),
            dags=CHECKOUT / "dags",
        )
    [post] = sandbox.feed()
    assert done["state"] == "success"
    # The creator may be faster than the first question.
    assert done["results"]["deliver"]["status"] in ("SEND_TO_USER_INBOX", "PUBLISH_COMPLETE")
    assert done["results"]["until_posted"]["post_ids"] == [post["post_id"]]


def test_daily_numbers_are_written_as_lines(sandbox: Sandbox, tmp_path: Path) -> None:
    done = run_alone(
        SCRIPT,
        sandbox,
        tmp_path / "airflow",
        "tiktok_daily_stats",
        json.dumps({"folder": str(tmp_path / "stats")}),
        dags=CHECKOUT / "dags",
    )
    assert done["state"] == "success"
    [account] = (tmp_path / "stats" / "account").iterdir()
    assert json.loads(account.read_text())["account"] == "tiktok_default"
    [videos] = (tmp_path / "stats" / "videos").iterdir()
    assert videos.read_text() == ""
