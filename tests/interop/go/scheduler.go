package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/hibiken/asynq"
)

// periodic is a task that a scheduler enqueues again and again.
type periodic struct {
	Spec string `json:"spec"`
	newTask
}

// runScheduler enqueues the periodic tasks that its argument lists, writes their entries' IDs to
// stdout as a JSON list, and goes on until stdin ends.
func runScheduler(redis asynq.RedisConnOpt, args []string) error {
	if len(args) != 1 {
		return errors.New("a scheduler needs its entries")
	}
	var wanted []periodic
	if err := decode([]byte(args[0]), &wanted); err != nil {
		return err
	}
	scheduler := asynq.NewScheduler(redis, &asynq.SchedulerOpts{HeartbeatInterval: time.Second})
	ids := make([]string, 0, len(wanted))
	for _, entry := range wanted {
		id, err := scheduler.Register(entry.Spec, entry.task(), entry.options()...)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if err := scheduler.Start(); err != nil {
		return err
	}
	defer scheduler.Shutdown()
	if err := json.NewEncoder(os.Stdout).Encode(ids); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
