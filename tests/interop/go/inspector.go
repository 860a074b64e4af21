package main

import (
	"fmt"
	"sort"

	"github.com/hibiken/asynq"
)

// question is one call of the inspector. Which fields count depends on the operation.
type question struct {
	Op      string `json:"op"`
	Queue   string `json:"queue"`
	ID      string `json:"id"`
	State   string `json:"state"`
	Group   string `json:"group"`
	Payload []byte `json:"payload"`
	Page    int    `json:"page"`
	Size    int    `json:"size"`
	Days    int    `json:"days"`
	Force   bool   `json:"force"`
}

func (q question) pages() []asynq.ListOption {
	return []asynq.ListOption{asynq.Page(q.Page), asynq.PageSize(q.Size)}
}

// inspector carries questions out.
type inspector struct{ *asynq.Inspector }

func (i inspector) answer(q question) (any, error) {
	switch q.Op {
	case "queues", "queue", "groups", "history", "servers", "entries", "events", "get", "list":
		return i.look(q)
	case "pause":
		return nil, i.PauseQueue(q.Queue)
	case "unpause":
		return nil, i.UnpauseQueue(q.Queue)
	case "delete_queue":
		return nil, i.DeleteQueue(q.Queue, q.Force)
	case "run":
		return nil, i.RunTask(q.Queue, q.ID)
	case "archive":
		return nil, i.ArchiveTask(q.Queue, q.ID)
	case "delete":
		return nil, i.DeleteTask(q.Queue, q.ID)
	case "cancel":
		return nil, i.CancelProcessing(q.ID)
	case "update_payload":
		return nil, i.UpdateTaskPayload(q.Queue, q.ID, q.Payload)
	}
	return i.changeAll(q)
}

func (i inspector) look(q question) (any, error) {
	switch q.Op {
	case "queues":
		names, err := i.Queues()
		sort.Strings(names)
		return names, err
	case "queue":
		return i.GetQueueInfo(q.Queue)
	case "groups":
		groups, err := i.Groups(q.Queue)
		return viewGroups(groups), err
	case "history":
		days, err := i.History(q.Queue, q.Days)
		return viewHistory(days), err
	case "servers":
		servers, err := i.Servers()
		return viewServers(servers), err
	case "entries":
		entries, err := i.SchedulerEntries()
		return viewEntries(entries), err
	case "events":
		events, err := i.ListSchedulerEnqueueEvents(q.ID, q.pages()...)
		return viewEvents(events), err
	case "get":
		info, err := i.GetTaskInfo(q.Queue, q.ID)
		if err != nil {
			return nil, err
		}
		return viewTask(info), nil
	}
	return i.list(q)
}

func (i inspector) list(q question) (any, error) {
	listers := map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		"pending":   i.ListPendingTasks,
		"active":    i.ListActiveTasks,
		"scheduled": i.ListScheduledTasks,
		"retry":     i.ListRetryTasks,
		"archived":  i.ListArchivedTasks,
		"completed": i.ListCompletedTasks,
		"aggregating": func(queue string, options ...asynq.ListOption) ([]*asynq.TaskInfo, error) {
			return i.ListAggregatingTasks(queue, q.Group, options...)
		},
	}
	if listers[q.State] == nil {
		return nil, fmt.Errorf("there is no list of %q tasks", q.State)
	}
	infos, err := listers[q.State](q.Queue, q.pages()...)
	return viewTasks(infos), err
}

// changeAll runs, archives or deletes all tasks of a state, and answers how many they were.
func (i inspector) changeAll(q question) (any, error) {
	ofGroup := map[string]func(string, string) (int, error){
		"run_all":     i.RunAllAggregatingTasks,
		"archive_all": i.ArchiveAllAggregatingTasks,
		"delete_all":  i.DeleteAllAggregatingTasks,
	}
	ofState := map[string]func(string) (int, error){
		"run_all scheduled":     i.RunAllScheduledTasks,
		"run_all retry":         i.RunAllRetryTasks,
		"run_all archived":      i.RunAllArchivedTasks,
		"archive_all pending":   i.ArchiveAllPendingTasks,
		"archive_all scheduled": i.ArchiveAllScheduledTasks,
		"archive_all retry":     i.ArchiveAllRetryTasks,
		"delete_all pending":    i.DeleteAllPendingTasks,
		"delete_all scheduled":  i.DeleteAllScheduledTasks,
		"delete_all retry":      i.DeleteAllRetryTasks,
		"delete_all archived":   i.DeleteAllArchivedTasks,
		"delete_all completed":  i.DeleteAllCompletedTasks,
	}
	if change := ofGroup[q.Op]; change != nil && q.State == "aggregating" {
		return change(q.Queue, q.Group)
	}
	if change := ofState[q.Op+" "+q.State]; change != nil {
		return change(q.Queue)
	}
	return nil, fmt.Errorf("there is no operation %q of %q tasks", q.Op, q.State)
}

// runInspector answers the questions that stdin asks.
func runInspector(redis asynq.RedisConnOpt, _ []string) error {
	asynqs := inspector{asynq.NewInspector(redis)}
	defer asynqs.Close()
	return answerLines(asynqs.answer)
}
