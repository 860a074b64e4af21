package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
)

// workerConfig is what a test sets of a server. Durations are seconds, 0: asynq's default.
type workerConfig struct {
	Queues          map[string]int `json:"queues"`
	StrictPriority  bool           `json:"strict_priority"`
	Concurrency     int            `json:"concurrency"`
	CheckInterval   float64        `json:"task_check_interval"`
	DelayedInterval float64        `json:"delayed_task_check_interval"`
	RetryDelay      float64        `json:"retry_delay"`
	ShutdownTimeout float64        `json:"shutdown_timeout"`
	GroupGrace      float64        `json:"group_grace_period"`
	GroupMaxSize    int            `json:"group_max_size"`
	Aggregate       bool           `json:"aggregate"`
	JournalFD       uintptr        `json:"journal"`
	LogLevel        asynq.LogLevel `json:"log_level"`
}

func (c workerConfig) asynq() asynq.Config {
	config := asynq.Config{
		Queues:                   c.Queues,
		StrictPriority:           c.StrictPriority,
		Concurrency:              c.Concurrency,
		TaskCheckInterval:        seconds(c.CheckInterval),
		DelayedTaskCheckInterval: seconds(c.DelayedInterval),
		ShutdownTimeout:          seconds(c.ShutdownTimeout),
		GroupGracePeriod:         seconds(c.GroupGrace),
		GroupMaxSize:             c.GroupMaxSize,
		LogLevel:                 c.LogLevel,
	}
	if c.RetryDelay != 0 {
		config.RetryDelayFunc = func(int, error, *asynq.Task) time.Duration { return seconds(c.RetryDelay) }
	}
	if c.Aggregate {
		config.GroupAggregator = asynq.GroupAggregatorFunc(aggregate)
	}
	return config
}

// aggregate makes one task of a group: its payload is the group's name and theirs, sorted.
func aggregate(group string, tasks []*asynq.Task) *asynq.Task {
	members := make([]string, 0, len(tasks))
	for _, task := range tasks {
		members = append(members, string(task.Payload()))
	}
	slices.Sort(members)
	payload, err := json.Marshal(map[string]any{"group": group, "members": members})
	if err != nil {
		panic(err) // Strings can always be encoded.
	}
	return asynq.NewTask("echo", payload, asynq.Retention(time.Hour))
}

// runWorker serves until SIGTERM; the first argument is its workerConfig.
func runWorker(redis asynq.RedisConnOpt, args []string) error {
	if len(args) != 1 {
		return errors.New("a worker needs its configuration")
	}
	var config workerConfig
	if err := decode([]byte(args[0]), &config); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	journal := journal{file: os.NewFile(config.JournalFD, "journal")}
	server := asynq.NewServer(redis, config.asynq())
	if err := server.Start(handlers{redis, journal}.mux()); err != nil {
		return err
	}
	journal.note("ready", "-")
	<-stop
	server.Shutdown()
	journal.note("closed", "-")
	return nil
}
