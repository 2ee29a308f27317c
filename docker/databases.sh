#!/usr/bin/env bash
# One role and one database for each *_database_url among the secrets. PostgreSQL's image runs this once, on an empty
# volume. Databases are not shared: Dagster, MLflow and others all keep their migrations in a table of the same name.
set -euo pipefail

for file in "${QP_SECRETS:-/run/secrets}"/*_database_url; do
  url=$(<"$file")
  login=${url#*://}
  login=${login%%@*}
  database=${url##*/}
  # Through the environment, not the command line: process lists show the latter.
  export QP_ROLE=${login%%:*} QP_PASSWORD=${login#*:} QP_DATABASE=${database%%\?*}
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv role QP_ROLE
\getenv password QP_PASSWORD
\getenv database QP_DATABASE
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"role";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
SQL
  echo "made database $QP_DATABASE"
done
