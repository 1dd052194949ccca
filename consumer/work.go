package consumer

import (
	"context"
	"errors"

	"github.com/firstcome/firstcome/consumer/internal/groupreader"
	"github.com/firstcome/firstcome/core/journal/kafkajournal"
	"github.com/firstcome/firstcome/core/ledger"
	"github.com/firstcome/firstcome/core/support/checkup"
	"github.com/firstcome/firstcome/core/support/config"
	"github.com/firstcome/firstcome/core/support/doctor"
	"github.com/firstcome/firstcome/core/support/lifecycle"
)

// work is the one part of this role: open, read and write, close.
type work struct {
	cfg  config.Config
	opts Options
	addr string

	start *lifecycle.Starting
}

// run works until ctx ends. It returns an error earlier only for what waiting does not heal.
func (w *work) run(ctx context.Context) (err error) {
	var book *ledger.Book
	err = w.start.Until(ctx, ledger.Passes, func(ctx context.Context) (err error) {
		book, err = w.openBook(ctx)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()

	k := w.cfg.Kafka
	journal := kafkajournal.Config{
		Brokers: k.Brokers, Topic: k.Topic, Group: k.Group, ClientID: "firstcome-consumer", Timeout: k.Timeout,
		Seen: func(ctx context.Context) (map[int32]int64, error) { return book.Seen(ctx, k.Topic) },
	}
	err = w.start.Until(ctx, func(err error) bool { return !errors.Is(err, kafkajournal.ErrTopicMissing) },
		func(ctx context.Context) error { return kafkajournal.CheckTopic(ctx, journal) })
	if err != nil {
		return err
	}
	look := checkup.New(checkup.Deps{
		Config: checkup.ConfigOf(config.Consumer, w.cfg), Database: book.Facts, Allow: w.cfg.Checks.Allow,
		Kafka: func(ctx context.Context) (*doctor.Kafka, error) { return kafkajournal.Facts(ctx, journal) },
		Log:   w.opts.Log, Registerer: w.opts.Registry,
	})
	if err = look.Start(ctx); err != nil {
		return err
	}
	c := w.cfg.Consumer
	reader, err := groupreader.New(groupreader.Config{
		Journal: journal, BatchRecords: c.BatchRecords, BatchBytes: c.BatchBytes, BatchWait: c.BatchWait, StuckAfter: c.StuckAfter,
	}, ledger.NewWriter(book, ledger.WriterOptions{
		Topic: k.Topic, Log: w.opts.Log, Registerer: w.opts.Registry,
	}), w.opts.Log, w.opts.Registry)
	if err != nil {
		return err
	}
	w.opts.Checks("writer", reader.Live, true)
	w.opts.Checks("kafka", reader.Ready, false)
	w.opts.Checks("database", func(ctx context.Context) error {
		if waiting := reader.Waiting(ctx); waiting != nil {
			return waiting
		}
		return book.Check(ctx) // nothing may have come to be written
	}, false)
	w.opts.Checks("assumptions", look.Ready, false)
	w.start.Done()
	w.opts.Ready(w.addr)
	return beside(ctx, look.Run, reader.Run)
}

// beside runs the main part and one beside it until ctx ends or either fails; the main part always comes to its end.
func beside(ctx context.Context, other, main func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		err := other(ctx)
		if err != nil {
			stop()
		}
		ended <- err
	}()
	err := main(ctx)
	stop()
	return errors.Join(<-ended, err)
}

func (w *work) openBook(ctx context.Context) (*ledger.Book, error) {
	d := w.cfg.Database
	book, err := ledger.Open(ctx, ledger.Config{DSN: d.DSN.Reveal(), MaxConns: d.MaxConns, Log: w.opts.Log,
		Registerer: w.opts.Registry})
	if err != nil {
		return nil, err
	}
	if err = book.CheckSchema(ctx); err != nil {
		return nil, errors.Join(err, book.Close())
	}
	return book, nil
}
