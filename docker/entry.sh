#!/usr/bin/env bash
# What each container runs, and how it is asked whether it is well:
#   entry.sh code | webserver | daemon | mlflow
#   entry.sh healthy code | webserver | daemon | mlflow
# Nothing in here needs a container: the tests run these very commands.
set -euo pipefail
cd "$(dirname "$0")/.."

export DAGSTER_HOME=$PWD QP_PROJECT=$PWD PYTHONPATH=$PWD
export OMP_WAIT_POLICY=PASSIVE DAGSTER_DISABLE_TELEMETRY=yes MLFLOW_DISABLE_TELEMETRY=true
export GX_ANALYTICS_ENABLED=false DO_NOT_TRACK=1
# Events of many partitions are written together (resources/events.py).
export DAGSTER_EVENT_BATCH_SIZE=1000
# Read by docker/workspace.yaml.
export QP_CODE_HOST=${QP_CODE_HOST:-127.0.0.1} QP_CODE_PORT=${QP_CODE_PORT:-4000}
host=${QP_HOST:-127.0.0.1}
dagster_port=${QP_DAGSTER_PORT:-3000}
mlflow_port=${QP_MLFLOW_PORT:-5000}

# MLflow takes its database from the environment or the command line; only this process and its children see the former.
mlflow_server() {
  local file=${QP_MLFLOW_DATABASE_URL_FILE:?names the file that holds the URL of the database of MLflow}
  [ -r "$file" ] || { echo "The secret file $file cannot be read. Run docker/secrets.sh first." >&2; exit 1; }
  MLFLOW_BACKEND_STORE_URI=$(<"$file")
  export MLFLOW_BACKEND_STORE_URI
  # Its eight helper processes would take 1.4 GB for jobs that nobody submits.
  export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
  exec mlflow server --host "$host" --port "$mlflow_port" --workers 1 \
    --artifacts-destination "${QP_MLFLOW_ARTIFACTS:-/var/lib/mlflow}" \
    --allowed-hosts "localhost:*,127.0.0.1:*,mlflow:*"
}

answers() {
  exec python -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)' "http://127.0.0.1:$1"
}

case "${1:-}${2:+ $2}" in
  code)
    # Here, once for every run that this server starts: half a minute where nothing is compiled yet.
    qp compile
    exec dagster code-server start --host "$host" --port "$QP_CODE_PORT" --python-file definitions.py
    ;;
  webserver) exec dagster-webserver --host "$host" --port "$dagster_port" --workspace docker/workspace.yaml ;;
  daemon) exec dagster-daemon run --workspace docker/workspace.yaml ;;
  mlflow) mlflow_server ;;
  "healthy code") exec dagster api grpc-health-check --host 127.0.0.1 --port "$QP_CODE_PORT" ;;
  "healthy webserver") answers "$dagster_port/server_info" ;;
  "healthy daemon") exec dagster-daemon liveness-check ;;
  "healthy mlflow") answers "$mlflow_port/health" ;;
  *)
    echo "Usage: entry.sh [healthy] code | webserver | daemon | mlflow" >&2
    exit 2
    ;;
esac
