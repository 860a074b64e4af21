// A TCP proxy that delivers every byte a fixed time after it came, in each direction.
//
//	proxy -to HOST:PORT -delay 500us
//
// It writes the address that it listens on to its standard output. It delays, but does not limit:
// whatever comes within the delay is on its way at the same time. Timers of Go's runtime are no
// finer than a millisecond when nothing else happens, so it waits on Linux's timerfd.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	chunkSize = 64 * 1024
	// onTheWay bounds the chunks of one direction that wait: far more than come in any delay that
	// makes sense.
	onTheWay = 4096
)

type chunk struct {
	due  time.Time
	data []byte
}

func main() {
	to := flag.String("to", "", "`HOST:PORT` of the server")
	delay := flag.Duration("delay", 500*time.Microsecond, "of each direction")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(client, *to, *delay)
	}
}

func serve(client net.Conn, to string, delay time.Duration) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		log.Print(err)
		client.Close()
		return
	}
	go forward(client, server, delay)
	forward(server, client, delay)
}

// forward copies from one end to the other until either is closed; then it closes both.
func forward(from, to net.Conn, delay time.Duration) {
	chunks := make(chan chunk, onTheWay)
	go deliver(chunks, to)
	defer close(chunks)
	buffer := make([]byte, chunkSize)
	for {
		size, err := from.Read(buffer)
		if size > 0 {
			chunks <- chunk{time.Now().Add(delay), bytes.Clone(buffer[:size])}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				log.Print(err)
			}
			return
		}
	}
}

func deliver(chunks <-chan chunk, to net.Conn) {
	defer to.Close()
	alarm, err := newAlarm()
	if err != nil {
		log.Fatal(err)
	}
	defer alarm.file.Close()
	broken := false
	for next := range chunks {
		if broken {
			continue // Empty the channel, so that its sender ends.
		}
		if err := alarm.wait(time.Until(next.due)); err != nil {
			log.Fatal(err)
		}
		if _, err := to.Write(next.data); err != nil {
			broken = true
			to.Close()
		}
	}
}

// alarm is a timerfd, which the runtime's poller watches as it does a socket.
type alarm struct {
	file *os.File
	raw  uintptr
}

func newAlarm() (*alarm, error) {
	const monotonic, flags = 1, syscall.O_NONBLOCK | syscall.O_CLOEXEC
	descriptor, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, flags, 0)
	if errno != 0 {
		return nil, errno
	}
	return &alarm{os.NewFile(descriptor, "timerfd"), descriptor}, nil
}

func (a *alarm) wait(duration time.Duration) error {
	if duration <= 0 {
		return nil
	}
	// The interval, which is none, and then the first time.
	spec := [2]syscall.Timespec{1: syscall.NsecToTimespec(int64(duration))}
	_, _, errno := syscall.Syscall6(
		syscall.SYS_TIMERFD_SETTIME, a.raw, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	_, err := a.file.Read(make([]byte, 8))
	return err
}
