# shellcheck shell=bash
# What the scripts here share: where things are, talking to the person, ports, daemons, .run/env. Sourced, never run.
#
# Everything that is started listens on 127.0.0.1 only and lives under .run: data, logs, pids, ports, secrets. Nothing
# there is of use to another checkout. What is downloaded lies in the user's cache folder and is shared by all checkouts.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
run=$root/.run
cache=${XDG_CACHE_HOME:-${HOME:-$run}/.cache}/firstcome
export root run cache

# .run holds passwords and a signing secret: nobody else reads it.
umask 077

# --- talking -----------------------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*"; }
note() { printf '  %-14s %s\n' "$1" "$2"; } # one line about one thing, under a heading
warn() { printf '%s\n' "$*" >&2; }

# die WHAT [HINT...]: says what is wrong and, on lines of their own, what helps.
die() {
  printf '\nerror: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# --- one at a time -----------------------------------------------------------------------------------------------------

# lock_run: two of these scripts at once would choose the same ports and start the same server twice. The children of
# the one that holds the lock know by FC_LOCKED; daemons do not inherit it (start_daemon closes 9).
lock_run() {
  mkdir -p "$run/pids" "$run/log"
  [ -z "${FC_LOCKED:-}" ] || return 0
  export FC_LOCKED=1
  have flock || return 0 # no util-linux: only the protection is missing
  exec 9>"$run/lock"
  flock -n 9 && return 0
  say "waiting for another make services, up or down of this checkout to end …"
  flock -w 900 9 || die "another script of this checkout has held $run/lock for 15 minutes" "look at it with: fuser -v $run/lock"
}

# --- ports -------------------------------------------------------------------------------------------------------------

# somebody_at PORT: does anything listen there?
somebody_at() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port_of NAME: the remembered port, or nothing.
port_of() {
  [ -f "$run/ports" ] || return 0
  sed -n "s/^$1=//p" "$run/ports"
}

# choose_port NAME DAEMON [WANTED]: remembers a port for NAME and prints it: the wanted one if that is free, else the one
# of last time if it is free or DAEMON itself is what listens there, else a free one at random. 20000 to 29999 is below
# the ranges that Linux (from 32768) and macOS (from 49152) hand to outgoing connections.
choose_port() {
  local port tries
  port=$(port_of "$1")
  if [ -n "$port" ] && daemon_alive "$2"; then
    echo "$port"
    return
  fi
  if [ -n "${3:-}" ]; then
    ! somebody_at "$3" || die "port $3, asked for $1, is taken by another program" "$(holder_of_port "$3")"
    port=$3
  elif [ -z "$port" ] || somebody_at "$port"; then
    for ((tries = 0; tries < 200; tries++)); do
      port=$((20000 + RANDOM % 10000))
      if ! grep -q "=$port\$" "$run/ports" 2>/dev/null && ! somebody_at "$port"; then break; fi
      port=
    done
    [ -n "$port" ] || die "no free port between 20000 and 29999 in 200 tries"
  fi
  forget_port "$1"
  echo "$1=$port" >>"$run/ports"
  echo "$port"
}

forget_port() {
  [ -f "$run/ports" ] || return 0
  grep -v "^$1=" "$run/ports" >"$run/ports.new" || true
  mv "$run/ports.new" "$run/ports"
}

holder_of_port() {
  if have ss; then
    ss -ltnpH "sport = :$1" 2>/dev/null | head -1
  elif have lsof; then
    lsof -nP -iTCP:"$1" -sTCP:LISTEN 2>/dev/null | tail -1
  fi
}

# --- daemons -----------------------------------------------------------------------------------------------------------

# birth_of PID: when the process began, in a form that no other process with this number ever has. Nothing for one that
# is gone or only waits to be reaped.
birth_of() {
  local rest
  if [ -r /proc/self/stat ]; then
    rest=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    # Field 2 is the name in brackets and may hold blanks: count from behind it. 1 is the state, 20 the start.
    # shellcheck disable=SC2086
    set -- ${rest##*) }
    case $1 in Z | X) return 0 ;; esac
    echo "$(cat /proc/sys/kernel/random/boot_id)/${20}"
  else
    ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' '_' || true
  fi
}

# daemon_alive NAME: is the process that was started under this name still that process?
daemon_alive() {
  local pid birth
  [ -f "$run/pids/$1" ] || return 1
  read -r pid birth _ <"$run/pids/$1" || return 1
  [ -n "$birth" ] && [ "$birth" = "$(birth_of "$pid")" ]
}

# start_daemon NAME COMMAND...: starts it with its output in .run/log/NAME.log and remembers who it is, and in
# daemon_sum, if that is set, with what it was started. The log of the run before is kept beside it as NAME.log.1.
start_daemon() {
  local name=$1 log=$run/log/$1.log
  shift
  [ ! -s "$log" ] || mv "$log" "$log.1"
  nohup "$@" >"$log" 2>&1 </dev/null 9>&- &
  printf '%s %s %s\n' "$!" "$(birth_of "$!")" "${daemon_sum:-}" >"$run/pids/$name"
}

# stop_daemon NAME SECONDS: TERM, wait, KILL. A number in a pid file that is another process by now is left alone.
stop_daemon() {
  local name=$1 limit=$2 pid began=$SECONDS how=stopped
  if daemon_alive "$name"; then
    read -r pid _ <"$run/pids/$name"
    kill -TERM "$pid" 2>/dev/null || true
    while daemon_alive "$name"; do
      if [ "$how" = stopped ] && ((SECONDS - began >= limit)); then
        how="killed: it did not end within $limit s"
        kill -KILL "$pid" 2>/dev/null || true
      fi
      ((SECONDS - began < limit + 20)) || die "$name (process $pid) does not end"
      sleep 0.1
    done
    note "$name" "$how"
  fi
  rm -f "$run/pids/$name"
}

# daemons PREFIX: the names of what was started whose name begins so, dead or alive.
daemons() {
  local file
  for file in "$run/pids/$1"*; do
    [ ! -f "$file" ] || basename "$file"
  done
}

# wait_ready NAME SECONDS PROBE...: 0 when the probe says yes; 1 when the process ended or the time is over, after the
# end of its log was shown.
wait_ready() {
  local name=$1 limit=$2 began=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! daemon_alive "$name"; then
      warn "  $name ended while it started; the end of $run/log/$name.log:"
      tail -n 15 "$run/log/$name.log" | sed 's/^/    | /' >&2
      return 1
    fi
    if ((SECONDS - began >= limit)); then
      warn "  $name was not ready within $limit s; the end of $run/log/$name.log:"
      tail -n 15 "$run/log/$name.log" | sed 's/^/    | /' >&2
      return 1
    fi
    sleep 0.2
  done
}

# --- .run/env ----------------------------------------------------------------------------------------------------------

# secret NAME: a random word of 64 hex digits, made once and kept in .run/secrets. It outlives services-down, because
# the data outlives it too.
secret() {
  local value
  value=$(sed -n "s/^$1=//p" "$run/secrets" 2>/dev/null || true)
  if [ -z "$value" ]; then
    value=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
    echo "$1=$value" >>"$run/secrets"
  fi
  echo "$value"
}

# set_env NAME [VALUE]: replaces a line of .run/env in one step; without a value, takes it out. Quoted only where a
# shell would stumble, so that simple readers need no shell.
set_env() {
  local file=$run/env line
  touch "$file"
  grep -v "^$1=" "$file" >"$file.new" || true
  if [ -n "${2:-}" ]; then
    case $2 in
      *[!A-Za-z0-9_.,:/@%+-]*) line="$1='$2'" ;;
      *) line="$1=$2" ;;
    esac
    echo "$line" >>"$file.new"
  fi
  mv "$file.new" "$file"
}

# load_env: the lines of .run/env into the environment. They go before what is there already: a shell that once read an
# older .run/env would otherwise lead astray.
load_env() {
  local name value
  [ -f "$run/env" ] || return 1
  while IFS='=' read -r name value; do
    case $name in FIRSTCOME_*) ;; *) continue ;; esac
    value=${value#\'}
    export "$name=${value%\'}"
  done <"$run/env"
}
