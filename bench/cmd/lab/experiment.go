package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/firstcome/firstcome/bench/loadgen"
	"github.com/firstcome/firstcome/bench/strategies"
	"github.com/firstcome/firstcome/bench/world"
)

// experiment is one run over all ways.
type experiment struct {
	users       int
	places      int64
	connections int
	only        string
	out, api    string

	settings settings
	db       *sql.DB
}

// figure is one line of the result.
type figure struct {
	Way       string  `json:"way"`
	What      string  `json:"what"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Peace     faults  `json:"in_peace"`
	Killed    faults  `json:"after_a_kill"`
}

func (e *experiment) run(ctx context.Context) (err error) {
	if e.settings, err = readSettings(); err != nil {
		return err
	}
	if e.db, err = e.settings.database(); err != nil {
		return err
	}
	defer e.db.Close() //nolint:errcheck // nothing was written over it that is not committed
	if _, err = e.db.ExecContext(ctx, strategies.Schema); err != nil {
		return fmt.Errorf("make the laboratory's tables: %w", err)
	}
	defer e.db.ExecContext(context.WithoutCancel(ctx), "DROP TABLE lab_issues, lab_coupons") //nolint:errcheck // the next run makes them anew
	if err = e.settings.makeTopic(); err != nil {
		return err
	}
	var figures []figure
	for _, way := range strategies.Ways() {
		var f []figure
		f, err = e.measure(ctx, way.Name, way.What, func(ctx context.Context, storm stormFunc) (faults, error) {
			return e.ofTheLab(ctx, way, storm)
		})
		if err != nil {
			return err
		}
		figures = append(figures, f...)
	}
	f, err := e.measure(ctx, "firstcome", "batched scripts, batched records, the gate's word after the log's", e.ofTheProduct)
	if err != nil {
		return err
	}
	figures = append(figures, f...)
	printTable(figures)
	return e.keep(figures)
}

// stormFunc sends the crowd to some processes and says what was wrong afterwards.
type stormFunc func(ctx context.Context, couponID int64, processes []*process, rows func(context.Context) (map[string]int64, error)) (faults, error)

func (e *experiment) measure(
	ctx context.Context, name, what string, once func(context.Context, stormFunc) (faults, error),
) ([]figure, error) {
	if e.only != "" && e.only != name {
		return nil, nil
	}
	f := figure{Way: name, What: what}
	var result loadgen.Result
	var err error
	fmt.Printf("%s: in peace …\n", name)
	if f.Peace, err = once(ctx, e.storm(false, &result)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.PerSecond = result.PerSecond()
	f.P50, f.P99 = milliseconds(result.Quantile(50)), milliseconds(result.Quantile(99))
	fmt.Printf("%s: with a kill -9 in the middle …\n", name)
	if f.Killed, err = once(ctx, e.storm(true, &loadgen.Result{})); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return []figure{f}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// storm is one crowd; with kill the first process dies when about half of the places are given and is started again.
func (e *experiment) storm(kill bool, result *loadgen.Result) stormFunc {
	return func(ctx context.Context, couponID int64, processes []*process, rows func(context.Context) (map[string]int64, error)) (faults, error) {
		var targets []string
		for _, p := range processes {
			defer p.kill()
			if err := p.start(ctx); err != nil {
				return faults{}, err
			}
			targets = append(targets, p.addr)
		}
		c := &crowd{secret: e.settings.secret, coupon: couponID, users: e.users, places: e.places}
		restarted := make(chan error, 1)
		var onHalf func()
		if kill {
			onHalf = func() {
				processes[0].kill()
				restarted <- processes[0].start(ctx)
			}
		} else {
			restarted <- nil
		}
		r, err := c.storm(ctx, targets, e.connections, onHalf)
		if err != nil {
			return faults{}, err
		}
		*result = r
		if err = <-restarted; err != nil {
			return faults{}, err
		}
		written, err := settle(ctx, rows)
		return c.judge(e.places, written), err
	}
}

// settle waits until no more rows come for a while.
func settle(ctx context.Context, rows func(context.Context) (map[string]int64, error)) (map[string]int64, error) {
	const quiet = 40 // looks without a change, of 100 ms each: longer than a consumer's hiccup
	var last map[string]int64
	for same := 0; same < quiet; {
		now, err := rows(ctx)
		if err != nil {
			return nil, err
		}
		if same++; total(now) != total(last) {
			same = 0
		}
		last = now
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return last, nil
}

func total(rows map[string]int64) (sum int64) {
	for _, n := range rows {
		sum += n
	}
	return sum
}

// rowsOf counts the rows of each user.
func (e *experiment) rowsOf(table string, couponID int64) func(context.Context) (map[string]int64, error) {
	query := "SELECT user_id, COUNT(*) FROM " + table + " WHERE coupon_id = ? GROUP BY user_id" //nolint:gosec // one of two constants
	return func(ctx context.Context) (map[string]int64, error) {
		found, err := e.db.QueryContext(ctx, query, couponID)
		if err != nil {
			return nil, err
		}
		defer found.Close() //nolint:errcheck // Err tells
		rows := map[string]int64{}
		for found.Next() {
			var user string
			var n int64
			if err := found.Scan(&user, &n); err != nil {
				return nil, err
			}
			rows[user] = n
		}
		return rows, found.Err()
	}
}

// ofTheLab gives a way of the laboratory a coupon and processes.
func (e *experiment) ofTheLab(ctx context.Context, way strategies.Way, storm stormFunc) (faults, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	couponID := time.Now().UnixMicro()
	if _, err := e.db.ExecContext(ctx, "INSERT INTO lab_coupons (id, total) VALUES (?, ?)", couponID, e.places); err != nil {
		return faults{}, err
	}
	if _, err := e.settings.consume(ctx, strategies.Bench{DB: e.db, Coupon: couponID}); err != nil {
		return faults{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return faults{}, err
	}
	var processes []*process
	for range way.Processes {
		var addr string
		if addr, err = freeAddr(ctx); err != nil {
			return faults{}, err
		}
		processes = append(processes, &process{addr: addr, ready: "http://" + addr + "/readyz", make: func() *exec.Cmd {
			return exec.Command(self, "serve", "-way", way.Name, "-addr", addr, //nolint:gosec,noctx // this program, ended by kill
				"-coupon", strconv.FormatInt(couponID, 10), "-places", strconv.FormatInt(e.places, 10))
		}})
	}
	found, err := storm(ctx, couponID, processes, e.rowsOf("lab_issues", couponID))
	client := e.settings.redisClient()
	defer client.Close() //nolint:errcheck // its keys are gone or will be small
	for _, key := range []string{"users", "count", "holders", "lock"} {
		err = errors.Join(err, client.Del(context.WithoutCancel(ctx), fmt.Sprintf("lab:%s:%d", key, couponID)).Err())
	}
	return found, err
}

// ofTheProduct gives firstcome a coupon and two apis of its own, beside the consumers that `make up` has started.
func (e *experiment) ofTheProduct(ctx context.Context, storm stormFunc) (faults, error) {
	var processes []*process
	for range 2 {
		addr, err := freeAddr(ctx)
		if err != nil {
			return faults{}, err
		}
		var ops string
		if ops, err = freeAddr(ctx); err != nil {
			return faults{}, err
		}
		processes = append(processes, &process{addr: addr, ready: "http://" + ops + "/readyz", make: func() *exec.Cmd {
			cmd := exec.Command(e.api) //nolint:gosec,noctx // the product, ended by kill
			cmd.Env = append(os.Environ(), "FIRSTCOME_HTTP_ADDR="+addr, "FIRSTCOME_OPS_ADDR="+ops, "FIRSTCOME_LOG_LEVEL=error")
			return cmd
		}})
	}
	if err := processes[0].start(ctx); err != nil {
		return faults{}, err
	}
	couponID, err := e.publish(ctx, processes[0].addr)
	processes[0].kill()
	if err != nil {
		return faults{}, err
	}
	return storm(ctx, couponID, processes, e.rowsOf("issues", couponID))
}

// publish makes a coupon by the product's own api.
func (e *experiment) publish(ctx context.Context, addr string) (int64, error) {
	admin, err := world.NewAdmin(ctx, addr, e.settings.secret)
	if err != nil {
		return 0, err
	}
	return admin.Publish(ctx, map[string]any{"total_quantity": e.places})
}
