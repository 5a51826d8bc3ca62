#!/bin/sh
# Create Parley's role and database in a PostgreSQL with pgvector. The image pgvector/pgvector runs this file once.
# The role is not a superuser, so that row-level security holds for it. It may create the role without a login that
# Parley takes in each transaction. DATABASE_NAME names both the role and the database.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  --set name="${DATABASE_NAME:-parley}" --set password="${DATABASE_PASSWORD:?}" <<'SQL'
CREATE ROLE :"name" LOGIN CREATEROLE PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
\connect :"name"
CREATE EXTENSION IF NOT EXISTS vector;
SQL
