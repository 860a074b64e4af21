// The producer and the worker of asynq; benchmarks/systems/adapter.py describes the protocol.
//
//	asynq_go produce '{"url": URL}'
//	asynq_go work '{"url": URL, "concurrency": 100, ...}'
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sys/unix"
)

type settings struct {
	URL         string  `json:"url"`
	Concurrency int     `json:"concurrency"`
	Total       int64   `json:"total"`
	Arguments   int64   `json:"arguments"`
	Hold        float64 `json:"hold"`
}

type numbers map[string]any

// say writes one line. One write of a short line is not torn, so goroutines need no lock.
func say(name string, values numbers) {
	line, err := json.Marshal([]any{name, values})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		log.Fatal(err)
	}
}

// cpuSeconds is the CPU time of this process, of all its threads.
func cpuSeconds() float64 {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &at); err != nil {
		log.Fatal(err)
	}
	return time.Duration(at.Nano()).Seconds()
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: asynq_go produce|work SETTINGS")
	}
	var given settings
	if err := json.Unmarshal([]byte(os.Args[2]), &given); err != nil {
		log.Fatal(err)
	}
	redis, err := asynq.ParseRedisURI(given.URL)
	if err != nil {
		log.Fatal(err)
	}
	switch role := os.Args[1]; role {
	case "produce":
		err = produce(redis)
	case "work":
		err = work(redis, given)
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		log.Fatal(err)
	}
}
