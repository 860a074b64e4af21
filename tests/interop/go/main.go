// Command interop is asynq's half of Headrace's tests: what a Go program would do with the
// same Redis. The first argument is a duty, the second the URI of Redis.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/hibiken/asynq"
)

// maxLine is the length in bytes of the longest request; a payload of 1 MB is 1.4 MB in base64.
const maxLine = 8 << 20

func main() {
	log.SetFlags(0)
	duties := map[string]func(asynq.RedisConnOpt, []string) error{
		"client":    runClient,
		"inspector": runInspector,
		"worker":    runWorker,
		"scheduler": runScheduler,
	}
	if len(os.Args) < 3 || duties[os.Args[1]] == nil {
		log.Fatal("usage: interop client|inspector|worker|scheduler REDIS_URI [CONFIG]")
	}
	redis, err := asynq.ParseRedisURI(os.Args[2])
	if err == nil {
		err = duties[os.Args[1]](redis, os.Args[3:])
	}
	if err != nil {
		log.Fatalf("interop %s: %v", os.Args[1], err)
	}
}

// outcome is what became of one request. Error is empty if it was carried out.
type outcome struct {
	Value any    `json:"value"`
	Error string `json:"error"`
}

// decode reads JSON, and refuses fields that target does not have.
func decode(data []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return fmt.Errorf("bad JSON %.200q: %w", data, err)
	}
	return nil
}

// answerLines reads one JSON request a line from stdin, and writes one outcome a line to stdout,
// until stdin ends.
func answerLines[T any](carryOut func(T) (any, error)) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLine)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var request T
		if err := decode(lines.Bytes(), &request); err != nil {
			return err
		}
		var given outcome
		value, err := carryOut(request)
		if err != nil {
			given.Error = err.Error()
		} else {
			given.Value = value
		}
		if err := out.Encode(given); err != nil {
			return err
		}
	}
	return lines.Err()
}
