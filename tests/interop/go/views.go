package main

import (
	"time"

	"github.com/hibiken/asynq"
)

// taskView is a task as JSON shows it: times are Unix seconds and durations seconds; 0: none.
type taskView struct {
	ID            string            `json:"id"`
	Queue         string            `json:"queue"`
	Type          string            `json:"type"`
	Payload       []byte            `json:"payload"`
	Headers       map[string]string `json:"headers"`
	State         string            `json:"state"`
	MaxRetry      int               `json:"max_retry"`
	Retried       int               `json:"retried"`
	LastError     string            `json:"last_error"`
	LastFailedAt  int64             `json:"last_failed_at"`
	Timeout       float64           `json:"timeout"`
	Deadline      int64             `json:"deadline"`
	Group         string            `json:"group"`
	NextProcessAt int64             `json:"next_process_at"`
	IsOrphaned    bool              `json:"is_orphaned"`
	Retention     float64           `json:"retention"`
	CompletedAt   int64             `json:"completed_at"`
	Result        []byte            `json:"result"`
}

func viewTask(info *asynq.TaskInfo) taskView {
	return taskView{
		ID:            info.ID,
		Queue:         info.Queue,
		Type:          info.Type,
		Payload:       info.Payload,
		Headers:       info.Headers,
		State:         info.State.String(),
		MaxRetry:      info.MaxRetry,
		Retried:       info.Retried,
		LastError:     info.LastErr,
		LastFailedAt:  unixSeconds(info.LastFailedAt),
		Timeout:       info.Timeout.Seconds(),
		Deadline:      unixSeconds(info.Deadline),
		Group:         info.Group,
		NextProcessAt: unixSeconds(info.NextProcessAt),
		IsOrphaned:    info.IsOrphaned,
		Retention:     info.Retention.Seconds(),
		CompletedAt:   unixSeconds(info.CompletedAt),
		Result:        info.Result,
	}
}

func viewTasks(infos []*asynq.TaskInfo) []taskView {
	views := make([]taskView, 0, len(infos))
	for _, info := range infos {
		views = append(views, viewTask(info))
	}
	return views
}

type workerView struct {
	TaskID   string `json:"task_id"`
	TaskType string `json:"task_type"`
	Payload  []byte `json:"payload"`
	Queue    string `json:"queue"`
	Started  int64  `json:"started_at"`
	Deadline int64  `json:"deadline"`
}

type serverView struct {
	ID             string         `json:"id"`
	Host           string         `json:"host"`
	PID            int            `json:"pid"`
	Concurrency    int            `json:"concurrency"`
	Queues         map[string]int `json:"queues"`
	StrictPriority bool           `json:"strict_priority"`
	Status         string         `json:"status"`
	Started        int64          `json:"started_at"`
	Workers        []workerView   `json:"workers"`
}

func viewServers(servers []*asynq.ServerInfo) []serverView {
	views := make([]serverView, 0, len(servers))
	for _, s := range servers {
		workers := make([]workerView, 0, len(s.ActiveWorkers))
		for _, w := range s.ActiveWorkers {
			workers = append(workers, workerView{
				w.TaskID, w.TaskType, w.TaskPayload, w.Queue, unixSeconds(w.Started), unixSeconds(w.Deadline),
			})
		}
		views = append(views, serverView{
			s.ID, s.Host, s.PID, s.Concurrency, s.Queues, s.StrictPriority, s.Status,
			unixSeconds(s.Started), workers,
		})
	}
	return views
}

type entryView struct {
	ID      string   `json:"id"`
	Spec    string   `json:"spec"`
	Type    string   `json:"type"`
	Payload []byte   `json:"payload"`
	Options []string `json:"options"`
	Next    int64    `json:"next"`
	Prev    int64    `json:"prev"`
}

func viewEntries(entries []*asynq.SchedulerEntry) []entryView {
	views := make([]entryView, 0, len(entries))
	for _, e := range entries {
		options := make([]string, 0, len(e.Opts))
		for _, option := range e.Opts {
			options = append(options, option.String())
		}
		views = append(views, entryView{
			e.ID, e.Spec, e.Task.Type(), e.Task.Payload(), options, unixSeconds(e.Next), unixSeconds(e.Prev),
		})
	}
	return views
}

type eventView struct {
	TaskID     string `json:"task_id"`
	EnqueuedAt int64  `json:"enqueued_at"`
}

func viewEvents(events []*asynq.SchedulerEnqueueEvent) []eventView {
	views := make([]eventView, 0, len(events))
	for _, e := range events {
		views = append(views, eventView{e.TaskID, unixSeconds(e.EnqueuedAt)})
	}
	return views
}

func viewGroups(groups []*asynq.GroupInfo) map[string]int {
	sizes := make(map[string]int, len(groups))
	for _, group := range groups {
		sizes[group.Group] = group.Size
	}
	return sizes
}

type dayView struct {
	Date      string `json:"date"`
	Processed int    `json:"processed"`
	Failed    int    `json:"failed"`
}

func viewHistory(days []*asynq.DailyStats) []dayView {
	views := make([]dayView, 0, len(days))
	for _, d := range days {
		views = append(views, dayView{d.Date.UTC().Format(time.DateOnly), d.Processed, d.Failed})
	}
	return views
}

// unixSeconds returns Unix seconds; 0 for both of the times that mean none in asynq.
func unixSeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
