#!/usr/bin/env bash
# Writes .env for docker-compose.yaml: secrets of your own, made here. It never replaces one that is there: another
# Fernet key could not read the connections, another password not open the database.
#
#   bash scripts/compose-env.sh [FILE]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
file=${1:-.env}

if [ -e "$file" ]; then
    echo "error: $file is there already, and is kept. Move it away first if its database is gone, too." >&2
    exit 1
fi
# Random letters and digits: they need no quoting in a URL.
secret() { LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c "$1" || true; }

[ "$file" != .env ] || mkdir -p dags logs media
uid=$(id -u)
if [ "$uid" = 0 ]; then
    # The image's own user: Airflow does not run as root.
    uid=50000
    [ "$file" != .env ] || chown "$uid:0" logs media
fi
umask 077
cat >"$file.new" <<END
# What docker-compose.yaml needs. Keep it out of version control, and back it up with the database.
AIRFLOW_UID=$uid
POSTGRES_PASSWORD=$(secret 64)
REDIS_PASSWORD=$(secret 64)
FERNET_KEY=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')
JWT_SECRET=$(secret 64)
API_SECRET_KEY=$(secret 64)
ADMIN_USERNAME=airflow
ADMIN_PASSWORD=$(secret 24)
# The local TikTok of the profile "demo", inside and outside. Take it away when you publish to TikTok itself.
TIKTOK_ALLOWED_HOSTS=http://tiktok-sandbox:9080 http://localhost:9080
END
mv "$file.new" "$file"
echo "Wrote $file. The user of the first start is 'airflow', with ADMIN_PASSWORD of that file."
