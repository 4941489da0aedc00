"""The store: our tables in Airflow's metadata database, and the rules by which they change."""
