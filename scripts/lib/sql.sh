# shellcheck shell=bash
# MySQL 8.0 and MariaDB. Sourced by services.sh.
#
# Both run the statements of an init file at every start, before they accept a connection. That sets up the databases
# and users without a client program, and heals what is missing or has an old password.

# sql_init_file NAME: two databases with a user each. Tests may also make databases of their own: the conformance suites
# those whose names begin with firstcome_test, the end-to-end tests, which run the roles, with firstcome_e2e. root has no
# password after the installation of MySQL; that ends here.
sql_init_file() {
  local app test root_password
  app=$(secret database_password)
  test=$(secret test_database_password)
  root_password=$(secret database_root_password)
  cat >"$run/$1.sql" <<SQL
CREATE DATABASE IF NOT EXISTS firstcome CHARACTER SET utf8mb4;
CREATE DATABASE IF NOT EXISTS firstcome_test CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'firstcome'@'127.0.0.1' IDENTIFIED BY '$app';
ALTER USER 'firstcome'@'127.0.0.1' IDENTIFIED BY '$app';
GRANT ALL ON firstcome.* TO 'firstcome'@'127.0.0.1';
GRANT ALL ON \`firstcome\_e2e%\`.* TO 'firstcome'@'127.0.0.1';
CREATE USER IF NOT EXISTS 'firstcome_test'@'127.0.0.1' IDENTIFIED BY '$test';
ALTER USER 'firstcome_test'@'127.0.0.1' IDENTIFIED BY '$test';
GRANT ALL ON \`firstcome\_test%\`.* TO 'firstcome_test'@'127.0.0.1';
ALTER USER 'root'@'localhost' IDENTIFIED BY '$root_password';
SQL
}

# sql_options NAME: what both are started with. The flush at each commit stays on, because without it a commit would be
# no commit; the binary log is off, because nobody replicates from here. The socket is named relative to the data folder:
# a full path of more than 107 characters would be refused.
sql_options() {
  printf '%s\n' --no-defaults "--datadir=$run/data/$1" "--port=$(port_of "$1")" --bind-address=127.0.0.1 \
    --socket=server.sock "--init-file=$run/$1.sql" --skip-name-resolve --skip-log-bin --character-set-server=utf8mb4 \
    --default-time-zone=+00:00 --max-connections=500 --innodb-buffer-pool-size=256M --performance-schema=OFF
  as_user
}

# as_user: both refuse to run as root unless told so.
as_user() { [ "$(id -u)" -ne 0 ] || echo --user=root; }

# sql_ready NAME: a server that accepts sessions greets first, with its protocol version, 10, in the fifth byte.
sql_ready() (
  exec 4<>"/dev/tcp/127.0.0.1/$(port_of "$1")"
  # shellcheck disable=SC2046
  set -- $(timeout 2 head -c 5 <&4 | od -An -tu1)
  [ "${5:-}" = 10 ]
)

# sql_install NAME COMMAND...: makes an empty data folder by COMMAND, whose last argument will be --datadir=…
sql_install() {
  local name=$1 data=$run/data/$1 log=$run/log/$1-install.log
  shift
  [ ! -d "$data" ] || return 0
  need_space "$run" 1024
  rm -rf "$data.new"
  mkdir -p "$run/data"
  note "$name" "making an empty database folder …"
  "$@" --datadir="$data.new" >"$log" 2>&1 </dev/null 9>&- || {
    tail -n 12 "$log" | sed 's/^/    | /' >&2
    die "$name could not make its data folder" "the whole output: $log"
  }
  mv "$data.new" "$data"
}

mysql_prepare() {
  fetch_mysql
  # shellcheck disable=SC2046
  sql_install mysql "$mysql_home/bin/mysqld" --no-defaults --initialize-insecure --basedir="$mysql_home" $(as_user)
}
mysql_ports() { choose_port mysql mysql >/dev/null; }
mysql_launch() {
  sql_init_file mysql
  local options=() option
  while read -r option; do options+=("$option"); done < <(sql_options mysql)
  start_daemon mysql "$mysql_home/bin/mysqld" "${options[@]}" --basedir="$mysql_home" --mysqlx=OFF
}
mysql_ready() { sql_ready mysql; }

mariadb_prepare() {
  # The core packages bring the programs without a service that would start on the machine's own port; the client's has
  # my_print_defaults, which mariadb-install-db calls.
  PATH=$PATH:/usr/sbin
  need_package mariadbd mariadb-server-core mariadb-client-core
  need_package my_print_defaults mariadb-client-core
  # shellcheck disable=SC2046
  sql_install mariadb mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db $(as_user)
}
mariadb_ports() { choose_port mariadb mariadb >/dev/null; }
mariadb_launch() {
  sql_init_file mariadb
  local options=() option
  while read -r option; do options+=("$option"); done < <(sql_options mariadb)
  start_daemon mariadb mariadbd "${options[@]}"
}
mariadb_ready() { sql_ready mariadb; }
