#!/bin/bash
# Sourced by the entrypoint of the MySQL and MariaDB images when it makes a data folder: the databases of the tests, as
# scripts/lib/sql.sh makes them without Docker. docker_process_sql is the entrypoint's own function.
docker_process_sql <<SQL
CREATE DATABASE IF NOT EXISTS firstcome_test CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'firstcome_test'@'%' IDENTIFIED BY '$TEST_DATABASE_PASSWORD';
GRANT ALL ON \`firstcome\_test%\`.* TO 'firstcome_test'@'%';
GRANT ALL ON \`firstcome\_e2e%\`.* TO 'firstcome'@'%';
SQL
