"""The store alone, served over HTTP as in Airflow's API server: `python -m tests.faults.store_server PORT SPEED`.

SPEED is how much faster than real time the rate limits' clock goes; Airflow's configuration comes from the
environment.
"""

import sys
import time
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI

from tiktok_provider.database.rate_limits.service import RateLimitService
from tiktok_provider.database.services import Services
from tiktok_provider.web.application import build_application


def main() -> None:
    """Serve until stopped."""
    port, speed = int(sys.argv[1]), float(sys.argv[2])
    began = time.time()

    def quick_clock() -> datetime:
        return datetime.fromtimestamp(began + (time.time() - began) * speed, UTC)

    outer = FastAPI()
    outer.mount("/tiktok", build_application(Services(rate_limits=RateLimitService(clock=quick_clock))))
    uvicorn.run(outer, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
