"""Check from a worker and from a triggerer everything that publishing needs; the log says for each line what to do.

`airflow tiktok doctor` does the same for the machine on which it runs. If the task ends with a timeout, no triggerer
is alive.
"""

from airflow.sdk import DAG, Param

from tiktok_provider.operators.doctor import TikTokDoctorOperator

with DAG(
    "tiktok_doctor",
    params={"conn_id": Param("tiktok_default", type="string", description="The account's connection")},
    doc_md=__doc__,
    tags=["tiktok"],
):
    TikTokDoctorOperator(task_id="examine", tiktok_conn_id="{{ params.conn_id }}")
