# shellcheck shell=bash
# One Kafka broker in KRaft mode, controller and broker in one process. Sourced by services.sh.

kafka_prepare() {
  need_java
  fetch_kafka
}

kafka_ports() {
  kafka_port=$(choose_port kafka kafka)
  kafka_controller_port=$(choose_port kafka-controller kafka)
}

kafka_launch() {
  local data=$run/data/kafka conf=$run/kafka.properties
  need_space "$run" 1024
  mkdir -p "$data"
  # Replication 1, because there is one broker. No rebalance delay, because the consumers of a test come one by one and
  # should not wait 3 s for each other. Topics are created by `batch migrate` and never by somebody's typing error.
  cat >"$conf" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$kafka_controller_port
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$kafka_port,CONTROLLER://127.0.0.1:$kafka_controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$kafka_port
log.dirs=$data
auto.create.topics.enable=false
offsets.topic.num.partitions=5
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
CONF
  if [ ! -f "$data/meta.properties" ]; then
    # A cluster id is 16 bytes in base64; a and b for + and / keep it free of signs that a command line would take amiss.
    "$java" -cp "$kafka_libs/*" kafka.tools.StorageTool format -c "$conf" \
      -t "$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c1-22)" >"$run/log/kafka-format.log" 2>&1 ||
      die "Kafka could not format its folder $data" "see $run/log/kafka-format.log"
  fi
  start_daemon kafka "$java" -Xms128m -Xmx512m -Dlog4j2.level=INFO -cp "$kafka_libs/*" kafka.Kafka "$conf"
}

# kafka_ready asks for the metadata of no topic in particular (Metadata, version 0): ready is when the broker names at
# least one broker, itself. A port that is open says less: it is open before the broker has joined its own cluster.
kafka_ready() (
  exec 4<>"/dev/tcp/127.0.0.1/$kafka_port"
  printf '\0\0\0\016\0\003\0\0\0\0\0\001\377\377\0\0\0\0' >&4
  # length, correlation id, number of brokers: four bytes each
  # shellcheck disable=SC2046
  set -- $(timeout 2 head -c 12 <&4 | od -An -tu1)
  [ $# -eq 12 ] && [ "${12}" -ge 1 ]
)
