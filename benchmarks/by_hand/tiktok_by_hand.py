"""One video a day on TikTok with what Airflow brings along: HttpOperator, HttpSensor and a few tasks of our own.

Written with care, to be compared with `TikTokPublishVideoOperator`. Every task has retries with backoff. The publish
id is in XCom before the first byte leaves, so a retried upload goes on where TikTok stands. A repeated init is
harmless, as an unused publish id publishes nothing. The sensor gives its worker slot back between two looks.

`by_hand` keeps its result in XCom. `by_hand_noted` also notes every published day in a Variable and skips the days
that it finds there.

What it cannot do, and why:

- **Know an earlier run.** XComs go with a clear and with a deleted run, so `by_hand` posts again. The Variable of
  `by_hand_noted` is written when TikTok has published. Who clears a run before that gets two posts; noted any
  earlier, a crash would lose the post instead. Two runs at once do not see each other.
- **Start over after an expired upload URL.** `init` and `upload` are two tasks, and a retry repeats only one of
  them. A person has to clear `init`, and must look first whether the post is out.
- **Refresh a token that TikTok refuses early.** Tasks go by the clock. Two DAGs of one account could refresh at the
  same time, and one of them would store a token that is dead already; a Variable has no lock.
- **Keep to TikTok's limits per minute.** Tasks know nothing of each other's calls; retries have to do.
- **Wait without a worker.** HttpSensor can defer only without `response_check`, which it needs here: TikTok answers
  200 whatever the status is. So each look starts a process on a worker.
- **Keep the upload URL to itself.** It is a secret, and it is in XCom.
- **Check the file and the account's other settings first**: TikTok refuses what is wrong with the file after the
  upload.
"""

import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG, BaseHook, Param, PokeReturnValue, Variable, task
from airflow.sdk.exceptions import AirflowFailException
from requests.adapters import HTTPAdapter
from urllib3 import Retry

APP = "by_hand_app"
# An account is an HTTP connection and, as tasks cannot write connections, a Variable with its tokens.
ACCOUNT = "{{ params.account }}"
TOKENS = "{account}_tokens"
PUBLISH = "v2/post/publish"
HEADERS = {
    "Authorization": "Bearer {{ var.json.get(params.account ~ '_tokens').access_token }}",
    "Content-Type": "application/json; charset=UTF-8",
}
CHUNK, LARGEST_SINGLE = 32_000_000, 64_000_000
PRIVACY_LEVEL = "PUBLIC_TO_EVERYONE"


def answer(response: requests.Response) -> dict[str, Any]:
    """Return TikTok's data; an error may come with status 200."""
    body = response.json()
    if body["error"]["code"] != "ok":
        raise RuntimeError(f"TikTok refused: {body['error']}")
    data: dict[str, Any] = body["data"]
    return data


def may_post(response: requests.Response) -> bool:
    """Tell whether the creator may post with our privacy level."""
    return PRIVACY_LEVEL in answer(response)["privacy_level_options"]


def published(response: requests.Response) -> PokeReturnValue:
    """Be done when the post has its public id; what has failed stays so."""
    data = answer(response)
    if data["status"] == "FAILED":
        raise AirflowFailException(f"TikTok gave the post up: {data.get('fail_reason')}")
    # The spelling is TikTok's; JavaScript would break the numbers, so they become texts.
    post_ids = [str(post_id) for post_id in data.get("publicaly_available_post_id") or []]
    done = data["status"] == "PUBLISH_COMPLETE" and bool(post_ids)
    return PokeReturnValue(done, {"status": data["status"], "post_ids": post_ids})


def received_bytes(account: str, publish_id: str) -> int | None:
    """Ask TikTok how much of the file it has; None once the upload is over."""
    token = Variable.get(TOKENS.format(account=account), deserialize_json=True)["access_token"]
    response = HttpHook("POST", account).run(
        f"{PUBLISH}/status/fetch/",
        json.dumps({"publish_id": publish_id}),
        {**HEADERS, "Authorization": f"Bearer {token}"},
    )
    data = answer(response)
    if data["status"] == "FAILED":
        raise AirflowFailException(f"TikTok gave the post up: {data.get('fail_reason')}")
    return int(data.get("uploaded_bytes", 0)) if data["status"] == "PROCESSING_UPLOAD" else None


@task.short_circuit
def not_posted_yet(note: str) -> bool:
    """Skip the rest if this day's post is out."""
    return Variable.get(note, default=None) is None


@task
def note_posted(note: str, result: dict[str, Any]) -> None:
    """Remember the post for later runs."""
    Variable.set(note, result, serialize_json=True)


@task(max_active_tis_per_dag=1)
def fresh_token(account: str) -> None:
    """Refresh the token if it will not last for this run; one run at a time, as a refresh token works once."""
    name = TOKENS.format(account=account)
    tokens = Variable.get(name, deserialize_json=True)
    if tokens["expires_at"] > time.time() + 3600:
        return
    app = BaseHook.get_connection(APP)
    form = {
        "client_key": app.login,
        "client_secret": app.password,
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
    }
    new = HttpHook("POST", account).run("v2/oauth/token/", form).json()
    if "error" in new:
        raise RuntimeError(f"TikTok refused to refresh the token: {new['error']}")
    expires_at = time.time() + new["expires_in"]
    Variable.set(name, {**tokens, **new, "expires_at": expires_at}, serialize_json=True)


@task
def plan(video: str, title: str) -> dict[str, Any]:
    """Return the body for init: the rest of the division goes into the last chunk."""
    size = Path(video).stat().st_size
    chunk = size if size <= LARGEST_SINGLE else CHUNK
    post = {"privacy_level": PRIVACY_LEVEL, "title": title}
    flags = ["disable_comment", "disable_duet", "disable_stitch"]
    brands = ["brand_content_toggle", "brand_organic_toggle"]
    return {
        "post_info": post | dict.fromkeys(flags, True) | dict.fromkeys(brands, False),
        "source_info": {
            "source": "FILE_UPLOAD",
            "video_size": size,
            "chunk_size": chunk,
            "total_chunk_count": size // chunk,
        },
    }


@task
def upload(account: str, video: str, body: dict[str, Any], started: dict[str, Any]) -> None:
    """Send the chunks that TikTok does not have yet."""
    source = body["source_info"]
    size, chunk, count = source["video_size"], source["chunk_size"], source["total_chunk_count"]
    again = Retry(5, backoff_factor=1, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=["PUT"])
    first = received_bytes(account, started["publish_id"])
    with requests.Session() as session, Path(video).open("rb") as file:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))
        while first is not None and first < size:
            length = chunk if first // chunk < count - 1 else size - first
            file.seek(first)
            headers = {
                "Content-Type": "video/mp4",
                "Content-Range": f"bytes {first}-{first + length - 1}/{size}",
            }
            response = session.put(started["upload_url"], file.read(length), headers=headers, timeout=300)
            # A chunk whose answer was lost is there already, and sending it again is refused.
            if response.status_code == 416 and received_bytes(account, started["publish_id"]) != first:
                first = received_bytes(account, started["publish_id"])
                continue
            if not response.ok:  # The exception of requests would show the URL.
                raise RuntimeError(f"TikTok answered a chunk with {response.status_code}")
            first += length


def daily_video(dag_id: str, *, noted: bool) -> DAG:
    """Return the DAG that publishes `folder`/`date`.mp4 every day.

    :param noted: whether days that are out are noted in Variables, and skipped.
    """
    with DAG(
        dag_id,
        schedule="@daily",
        start_date=datetime(2026, 1, 1),
        catchup=False,
        params={"account": Param("by_hand", type="string"), "folder": Param("/videos", type="string")},
        default_args={"retries": 3, "retry_exponential_backoff": True},
    ) as dag:
        video, note = "{{ params.folder }}/{{ ds }}.mp4", f"{dag_id}_{{{{ ds }}}}"
        creator_info = HttpOperator(
            task_id="creator_info",
            http_conn_id=ACCOUNT,
            endpoint=f"{PUBLISH}/creator_info/query/",
            headers=HEADERS,
            response_check=may_post,
        )
        body = plan(video, "The video of {{ ds }}")
        init = HttpOperator(
            task_id="init",
            http_conn_id=ACCOUNT,
            endpoint=f"{PUBLISH}/video/init/",
            headers=HEADERS,
            data="{{ ti.xcom_pull('plan') | tojson }}",
            response_filter=answer,
        )
        sent = upload(ACCOUNT, video, body, init.output)  # type: ignore[arg-type]
        status = HttpSensor(
            task_id="status",
            http_conn_id=ACCOUNT,
            method="POST",
            endpoint=f"{PUBLISH}/status/fetch/",
            headers=HEADERS,
            request_params="{\"publish_id\": \"{{ ti.xcom_pull('init')['publish_id'] }}\"}",  # type: ignore[arg-type]
            response_check=published,
            # What passes by itself is no reason to give up: 429 and everything from 500 on.
            response_error_codes_allowlist=["429", "5"],
            mode="reschedule",
            poke_interval=10,
            timeout=timedelta(hours=24).total_seconds(),
        )
        begin = fresh_token(ACCOUNT)
        begin >> creator_info >> body >> init >> sent >> status
        if noted:
            not_posted_yet(note) >> begin
            note_posted(note, status.output)  # type: ignore[arg-type]
    return dag


by_hand = daily_video("by_hand", noted=False)
by_hand_noted = daily_video("by_hand_noted", noted=True)
