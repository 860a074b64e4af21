package main

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

// rest is how long a task of that kind sleeps.
const rest = 10 * time.Millisecond

// counter counts what ran, and says so after every total tasks.
type counter struct {
	total    int64
	ran      []atomic.Bool
	ended    atomic.Int64
	once     sync.Once
	first    int64
	cpuFirst float64
}

func (c *counter) begin() {
	c.once.Do(func() { c.first, c.cpuFirst = time.Now().UnixNano(), cpuSeconds() })
}

func (c *counter) end(argument int64) {
	c.ran[argument].Store(true)
	if ended := c.ended.Add(1); ended%c.total == 0 {
		cpu := cpuSeconds()
		say("done", numbers{
			"tasks":       ended,
			"distinct":    c.distinct(),
			"first":       c.first,
			"last":        time.Now().UnixNano(),
			"cpu_s":       cpu - c.cpuFirst,
			"cpu_total_s": cpu,
		})
	}
}

// distinct is how many different arguments were seen.
func (c *counter) distinct() int {
	seen := 0
	for i := range c.ran {
		if c.ran[i].Load() {
			seen++
		}
	}
	return seen
}

// work runs a server until the process is killed.
func work(redis asynq.RedisConnOpt, given settings) error {
	count := &counter{total: given.Total, ran: make([]atomic.Bool, given.Arguments)}
	mux := asynq.NewServeMux()
	handle(mux, "noop", func(n int64) { count.begin(); count.end(n) })
	handle(mux, "rest", func(n int64) { count.begin(); time.Sleep(rest); count.end(n) })
	handle(mux, "clock", func(argument int64) {
		say("clock", numbers{"argument": argument, "at": time.Now().UnixNano()})
	})
	handle(mux, "hold", func(argument int64) {
		say("start", numbers{"argument": argument, "at": time.Now().UnixNano()})
		time.Sleep(time.Duration(given.Hold * float64(time.Second)))
		say("end", numbers{"argument": argument, "at": time.Now().UnixNano()})
	})
	config := asynq.Config{Concurrency: given.Concurrency, LogLevel: asynq.WarnLevel}
	return asynq.NewServer(redis, config).Run(mux)
}

// handle registers a handler that reads its argument from the JSON of the payload.
func handle(mux *asynq.ServeMux, kind string, run func(int64)) {
	mux.HandleFunc(kind, func(_ context.Context, task *asynq.Task) error {
		var payload struct {
			Argument int64 `json:"argument"`
		}
		if err := json.Unmarshal(task.Payload(), &payload); err != nil {
			return err
		}
		run(payload.Argument)
		return nil
	})
}
