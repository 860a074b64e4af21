package main

import (
	"time"

	"github.com/hibiken/asynq"
)

// newTask is a task to enqueue. Durations are seconds, instants Unix seconds, null: not given.
// JSON has bytes in base64; a null payload is an absent one.
type newTask struct {
	Type      string            `json:"type"`
	Payload   []byte            `json:"payload"`
	Headers   map[string]string `json:"headers"`
	Queue     *string           `json:"queue"`
	MaxRetry  *int              `json:"max_retry"`
	Timeout   *float64          `json:"timeout"`
	Deadline  *int64            `json:"deadline"`
	Unique    *float64          `json:"unique"`
	TaskID    *string           `json:"task_id"`
	ProcessAt *int64            `json:"process_at"`
	ProcessIn *float64          `json:"process_in"`
	Retention *float64          `json:"retention"`
	Group     *string           `json:"group"`
}

// options are what asynq takes beside a task.
type options = []asynq.Option

func (t newTask) task() *asynq.Task {
	return asynq.NewTaskWithHeaders(t.Type, t.Payload, t.Headers)
}

func (t newTask) options() options {
	var given options
	given = appendOption(given, t.Queue, asynq.Queue)
	given = appendOption(given, t.MaxRetry, asynq.MaxRetry)
	given = appendDuration(given, t.Timeout, asynq.Timeout)
	given = appendInstant(given, t.Deadline, asynq.Deadline)
	given = appendDuration(given, t.Unique, asynq.Unique)
	given = appendOption(given, t.TaskID, asynq.TaskID)
	given = appendInstant(given, t.ProcessAt, asynq.ProcessAt)
	given = appendDuration(given, t.ProcessIn, asynq.ProcessIn)
	given = appendDuration(given, t.Retention, asynq.Retention)
	return appendOption(given, t.Group, asynq.Group)
}

func appendOption[T any](given options, value *T, option func(T) asynq.Option) options {
	if value == nil {
		return given
	}
	return append(given, option(*value))
}

func appendDuration(given options, value *float64, option func(time.Duration) asynq.Option) options {
	if value == nil {
		return given
	}
	return append(given, option(seconds(*value)))
}

func appendInstant(given options, value *int64, option func(time.Time) asynq.Option) options {
	if value == nil {
		return given
	}
	return append(given, option(time.Unix(*value, 0)))
}

func seconds(value float64) time.Duration {
	return time.Duration(value * float64(time.Second))
}

// runClient enqueues the tasks that stdin tells, and answers with what became of each.
func runClient(redis asynq.RedisConnOpt, _ []string) error {
	client := asynq.NewClient(redis)
	defer client.Close()
	return answerLines(func(wanted newTask) (any, error) {
		info, err := client.Enqueue(wanted.task(), wanted.options()...)
		if err != nil {
			return nil, err
		}
		return viewTask(info), nil
	})
}
