# Airflow's official image with the provider and the sandbox.
FROM apache/airflow:3.3.2
COPY --chown=airflow:root . /tmp/provider
# Airflow is named again so that pip changes nothing of it.
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" "/tmp/provider[sandbox]"
