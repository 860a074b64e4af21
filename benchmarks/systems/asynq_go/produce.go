package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

// atOnce is how many calls are under way at once when enqueueing concurrently.
const atOnce = 100

// request is what the runner asks for: [mode, kind, count, dues].
type request struct {
	mode, kind string
	count      int64
	dues       []int64
}

func (r *request) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&r.mode, &r.kind, &r.count, &r.dues})
}

// produce does what the lines of the standard input ask for.
func produce(redis asynq.RedisConnOpt) error {
	client := asynq.NewClient(redis)
	defer client.Close()
	if err := client.Ping(); err != nil {
		return err
	}
	say("ready", numbers{})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		start, cpu := time.Now(), cpuSeconds()
		if err := fulfil(client, asked); err != nil {
			return err
		}
		say("added", numbers{
			"seconds": time.Since(start).Seconds(),
			"cpu_s":   cpuSeconds() - cpu,
		})
	}
	return lines.Err()
}

func fulfil(client *asynq.Client, asked request) error {
	switch asked.mode {
	case "now":
		argument := asked.count
		if asked.kind == "clock" {
			argument = time.Now().UnixNano()
		}
		return add(client, asked.kind, argument)
	case "later":
		for _, due := range asked.dues {
			at := asynq.ProcessAt(time.Unix(due, 0))
			if err := add(client, asked.kind, due*int64(time.Second), at); err != nil {
				return err
			}
		}
		return nil
	case "one":
		for argument := range asked.count {
			if err := add(client, asked.kind, argument); err != nil {
				return err
			}
		}
		return nil
	case "concurrent":
		return addConcurrently(client, asked)
	}
	return fmt.Errorf("unknown mode %q", asked.mode)
}

func addConcurrently(client *asynq.Client, asked request) error {
	var next atomic.Int64
	var producers sync.WaitGroup
	errors := make(chan error, atOnce)
	for range atOnce {
		producers.Add(1)
		go func() {
			defer producers.Done()
			for argument := next.Add(1) - 1; argument < asked.count; argument = next.Add(1) - 1 {
				if err := add(client, asked.kind, argument); err != nil {
					errors <- err
					return
				}
			}
		}()
	}
	producers.Wait()
	close(errors)
	return <-errors
}

// add enqueues a task whose payload is the same JSON as Headrace's.
func add(client *asynq.Client, kind string, argument int64, options ...asynq.Option) error {
	payload, err := json.Marshal(map[string]int64{"argument": argument})
	if err != nil {
		return err
	}
	_, err = client.Enqueue(asynq.NewTask(kind, payload), options...)
	return err
}
