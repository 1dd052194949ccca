package servers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaVersion is the one that scripts/lib/artifacts.sh fetches.
const kafkaVersion = "4.3.0"

// KafkaOptions of a broker.
type KafkaOptions struct {
	// Advertised gives the broker one more listener for each address, and clients that come by it are told to use that
	// address: a proxy's, which leads to Listener(i). For a cluster they are those of its first broker.
	Advertised []string
	// Config is further server.properties; it wins.
	Config map[string]string
}

// NewKafka is one broker, its own controller, as scripts/lib/kafka.sh starts one.
func NewKafka(dir string, o KafkaOptions) (*Server, error) {
	all, err := NewKafkaCluster(dir, 1, o)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// NewKafkaCluster is n brokers, all of them controllers too, each in a folder of its own below dir. Start them at the
// same time: one alone has no quorum and does not get ready.
func NewKafkaCluster(dir string, n int, o KafkaOptions) ([]*Server, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	libs := filepath.Join(cache, "kafka-"+kafkaVersion)
	if _, err = os.Stat(libs); err != nil {
		return nil, fmt.Errorf("Kafka %s %w", kafkaVersion, ErrMissing) //nolint:staticcheck // a name
	}
	java, err := look("java")
	if err != nil {
		return nil, err
	}
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	cluster := strings.NewReplacer("-", "a", "_", "b").Replace(base64.RawURLEncoding.EncodeToString(id[:]))
	servers := make([]*Server, n)
	voters := make([]string, n)
	for i := range servers {
		s, err := newServer(fmt.Sprintf("kafka-%d", i+1), filepath.Join(dir, fmt.Sprintf("broker-%d", i+1)))
		if err != nil {
			return nil, err
		}
		controller, err := freeAddr()
		if err != nil {
			return nil, err
		}
		servers[i], voters[i] = s, fmt.Sprintf("%d@%s", i+1, controller)
	}
	for i, s := range servers {
		advertised := o.Advertised
		if i > 0 {
			advertised = nil
		}
		if err := configureKafka(s, i+1, voters, advertised, o.Config); err != nil {
			return nil, err
		}
		launchKafka(s, int32(i+1), java, jvmFor(n), libs, cluster)
	}
	return servers, nil
}

func configureKafka(s *Server, id int, voters, advertised []string, more map[string]string) error {
	_, controller, _ := strings.Cut(voters[id-1], "@")
	listeners := []string{"PLAINTEXT://" + s.addr, "CONTROLLER://" + controller}
	public := []string{"PLAINTEXT://" + s.addr}
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	for i, address := range advertised {
		behind, err := freeAddr()
		if err != nil {
			return err
		}
		name := fmt.Sprintf("L%d", i)
		s.listeners = append(s.listeners, behind)
		listeners = append(listeners, name+"://"+behind)
		public = append(public, name+"://"+address)
		protocols = append(protocols, name+":PLAINTEXT")
	}
	copies := fmt.Sprint(len(voters))
	config := map[string]string{
		"process.roles": "broker,controller", "node.id": fmt.Sprint(id), "controller.quorum.voters": strings.Join(voters, ","),
		"controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT",
		"listeners": strings.Join(listeners, ","), "advertised.listeners": strings.Join(public, ","),
		"listener.security.protocol.map": strings.Join(protocols, ","), "log.dirs": s.dir, "auto.create.topics.enable": "false",
		"offsets.topic.num.partitions": "5", "offsets.topic.replication.factor": copies,
		"transaction.state.log.replication.factor": copies, "transaction.state.log.min.isr": "1",
		"share.coordinator.state.topic.replication.factor": copies, "share.coordinator.state.topic.min.isr": "1",
		"group.initial.rebalance.delay.ms": "0",
		// Sessions of killed brokers end soon, so that a change of leaders takes seconds.
		"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500",
	}
	for name, value := range more {
		config[name] = value
	}
	lines := make([]string, 0, len(config))
	for name, value := range config {
		lines = append(lines, name+"="+value)
	}
	slices.Sort(lines)
	return os.WriteFile(s.dir+".properties", []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// jvmFor is how a broker's JVM is set up. Several that live for a minute, on a processor or two, spend most of it compiling
// themselves: they leave that to the quick compiler.
func jvmFor(brokers int) []string {
	if brokers == 1 {
		return []string{"-Xms128m", "-Xmx512m"}
	}
	return []string{"-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
}

func launchKafka(s *Server, id int32, java string, jvm []string, libs, cluster string) {
	conf, path := s.dir+".properties", libs+"/*"
	s.command = func() (*exec.Cmd, error) {
		if _, err := os.Stat(filepath.Join(s.dir, "meta.properties")); errors.Is(err, os.ErrNotExist) {
			format := exec.Command(java, "-cp", path, "kafka.tools.StorageTool", "format", "-c", conf, "-t", cluster) //nolint:gosec,noctx // takes a second
			if out, err := format.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("kafka could not format its folder: %w\n%s", err, out)
			}
		}
		args := append(slices.Clone(jvm), "-Dlog4j2.level=INFO", "-cp", path, "kafka.Kafka", conf)
		return exec.Command(java, args...), nil //nolint:gosec,noctx // ended by Kill
	}
	s.ready = func(ctx context.Context) error {
		// A client of its own each time: one that was told "nobody there" backs off for longer than a start takes.
		client, err := kgo.NewClient(kgo.SeedBrokers(s.addr))
		if err != nil {
			return fmt.Errorf("client: %w", err)
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		brokers, err := kadm.NewClient(client).ListBrokers(ctx)
		// One that knows of others only is not counted yet: a topic with a copy on each could not be made.
		if err == nil && !slices.ContainsFunc(brokers, func(b kadm.BrokerDetail) bool { return b.NodeID == id }) {
			err = errors.New("the broker has not joined its cluster yet")
		}
		return err
	}
}
