#!/usr/bin/env bash
# Make the secrets of docker/compose.yaml, once: random passwords, in files that only their folder's owner can reach.
# An existing file is kept, because the databases were made with it.
set -euo pipefail

folder=${1:-"$(dirname "$0")/../var/secrets"}
mkdir -p "$folder"
# The folder is closed and the files are open: containers mount single files and read them as another user.
chmod 700 "$folder"
umask 022

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

keep_or_write() {
  if [ -s "$folder/$1" ]; then
    echo "kept $folder/$1"
  else
    printf '%s\n' "$2" >"$folder/$1"
    echo "wrote $folder/$1"
  fi
}

keep_or_write postgres_password "$(random)"
keep_or_write dagster_database_url "postgresql://dagster:$(random)@postgres:5432/dagster"
keep_or_write mlflow_database_url "postgresql://mlflow:$(random)@postgres:5432/mlflow"
