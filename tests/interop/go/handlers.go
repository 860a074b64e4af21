package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynq/x/rate"
	"golang.org/x/sys/unix"
)

// journal is where handlers note what they do, one line an event: kind, task, process, time.
type journal struct{ file *os.File }

func (j journal) note(kind, task string) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // Every Linux and macOS has that clock.
	}
	at := float64(now.Nano()) / float64(time.Second)
	// One write a line: so lines of several processes do not mix.
	if _, err := fmt.Fprintf(j.file, "%s %s %d %f\n", kind, url.PathEscape(task), os.Getpid(), at); err != nil {
		panic(err) // The test is gone.
	}
}

// handlers are the types of tasks that a worker knows.
type handlers struct {
	redis   asynq.RedisConnOpt
	journal journal
}

func (h handlers) mux() *asynq.ServeMux {
	mux := asynq.NewServeMux()
	mux.Use(h.noting)
	mux.HandleFunc("echo", echo)
	mux.HandleFunc("reply", reply)
	mux.HandleFunc("sleep", sleep)
	mux.HandleFunc("fail", fail)
	mux.HandleFunc("fail_once", failOnce)
	mux.HandleFunc("panic", func(context.Context, *asynq.Task) error { panic("on purpose") })
	mux.HandleFunc("skip", func(context.Context, *asynq.Task) error {
		return fmt.Errorf("no use: %w", asynq.SkipRetry)
	})
	mux.HandleFunc("revoke", func(context.Context, *asynq.Task) error { return asynq.RevokeTask })
	mux.HandleFunc("hold", h.hold)
	return mux
}

func (h handlers) noting(next asynq.Handler) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		id, _ := asynq.GetTaskID(ctx)
		h.journal.note("begin", id)
		err := next.ProcessTask(ctx, task)
		if err == nil {
			h.journal.note("end", id)
		}
		return err
	})
}

// report is what a handler was told of its task. Deadline is in Unix seconds.
type report struct {
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	Queue    string            `json:"queue"`
	Payload  []byte            `json:"payload"`
	Headers  map[string]string `json:"headers"`
	Retried  int               `json:"retried"`
	MaxRetry int               `json:"max_retry"`
	Deadline int64             `json:"deadline"`
}

// echo results in a report of its task.
func echo(ctx context.Context, task *asynq.Task) error {
	told := report{Type: task.Type(), Payload: task.Payload(), Headers: task.Headers()}
	told.ID, _ = asynq.GetTaskID(ctx)
	told.Queue, _ = asynq.GetQueueName(ctx)
	told.Retried, _ = asynq.GetRetryCount(ctx)
	told.MaxRetry, _ = asynq.GetMaxRetry(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		told.Deadline = deadline.Unix()
	}
	result, err := json.Marshal(told)
	if err != nil {
		return err
	}
	_, err = task.ResultWriter().Write(result)
	return err
}

// reply results in its payload.
func reply(_ context.Context, task *asynq.Task) error {
	_, err := task.ResultWriter().Write(task.Payload())
	return err
}

// sleep takes as many seconds as its payload says, unless it is cancelled.
func sleep(ctx context.Context, task *asynq.Task) error {
	wanted, err := strconv.ParseFloat(string(task.Payload()), 64)
	if err != nil {
		return err
	}
	select {
	case <-time.After(seconds(wanted)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func fail(context.Context, *asynq.Task) error { return errors.New("on purpose") }

func failOnce(ctx context.Context, task *asynq.Task) error {
	if retried, _ := asynq.GetRetryCount(ctx); retried == 0 {
		return errors.New("on purpose")
	}
	return echo(ctx, task)
}

// hold takes a token of a semaphore of one, and results in whether it got it. A payload
// "scope keep" does not give it back, as a handler that crashed would not.
func (h handlers) hold(ctx context.Context, task *asynq.Task) error {
	scope, keep := strings.CutSuffix(string(task.Payload()), " keep")
	semaphore := rate.NewSemaphore(h.redis, scope, 1)
	defer semaphore.Close()
	acquired, err := semaphore.Acquire(ctx)
	if err != nil {
		return err
	}
	if acquired && !keep {
		if err := semaphore.Release(ctx); err != nil {
			return err
		}
	}
	_, err = task.ResultWriter().Write(strconv.AppendBool(nil, acquired))
	return err
}
