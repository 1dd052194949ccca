package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
	_ "github.com/go-sql-driver/mysql" // the driver "mysql"
	"github.com/redis/go-redis/v9"
)

// topic is the laboratory's own.
const topic = "firstcome.lab"

// settings are where the servers are.
type settings struct {
	redis, kafka, dsn string
	secret            []byte
}

func readSettings() (settings, error) {
	get := func(name string) string { return os.Getenv("FIRSTCOME_" + name) }
	s := settings{get("REDIS_ADDRS"), get("KAFKA_BROKERS"), get("DATABASE_DSN"), []byte(get("AUTH_HS256_SECRET"))}
	if s.redis == "" || s.kafka == "" || s.dsn == "" || len(s.secret) == 0 {
		return s, fmt.Errorf("no servers are described in the environment: `make up` first, then `make lab` reads .run/env")
	}
	return s, nil
}

func (s settings) database() (*sql.DB, error) {
	// Statements with several commands make the tables; interpolation saves a round trip for everybody alike.
	separator := "?"
	if strings.Contains(s.dsn, "?") {
		separator = "&"
	}
	db, err := sql.Open("mysql", s.dsn+separator+"multiStatements=true&interpolateParams=true")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(64)
	db.SetMaxIdleConns(64)
	return db, nil
}

func (s settings) redisClient() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.redis, PoolSize: 128})
}

// producer waits for all in-sync replicas, like the product's.
func (s settings) producer() (func(ctx context.Context, couponID int64, user string) error, error) {
	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Timeout = 5 * time.Second
	p, err := sarama.NewSyncProducer(strings.Split(s.kafka, ","), config)
	if err != nil {
		return nil, fmt.Errorf("kafka at %s: %w", s.kafka, err)
	}
	return func(_ context.Context, couponID int64, user string) error {
		_, _, err := p.SendMessage(&sarama.ProducerMessage{
			Topic: topic, Key: sarama.StringEncoder(user), Value: sarama.StringEncoder(fmt.Sprintf("%d %s", couponID, user)),
		})
		return err
	}, nil
}

// makeTopic makes it if it is not there.
func (s settings) makeTopic() error {
	admin, err := sarama.NewClusterAdmin(strings.Split(s.kafka, ","), sarama.NewConfig())
	if err != nil {
		return fmt.Errorf("kafka at %s: %w", s.kafka, err)
	}
	err = admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
	if err != nil && !strings.Contains(err.Error(), "exists") {
		return err
	}
	return admin.Close()
}

const partitions = 12
