// The program in the lab's Go target: known functions with known shares of its work.
//
// handleRequest spends three quarters of its time in renderReply and one in parseRequest; it is at
// work a quarter of the time. It serves net/http/pprof on the port that it is given, on loopback.
// Another goroutine allocates, three quarters of the bytes in keepReply and one in keepRequest, a
// third one fights for a lock. "app count" does one thing as often as it can, and prints ten times a
// second the time, its CPU time (both in nanoseconds), and how often it has done it.
package main

import (
	"fmt"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var (
	sink  int
	kept  [][]byte
	guard sync.Mutex
)

// hotLeaf has a frame of its own, for the sake of the array: without one its caller would be missing
// in stacks that are walked by frame pointers.
//
//go:noinline
func hotLeaf(loops int) int {
	var totals [16]int
	for number := 1; number < loops; number++ {
		totals[number&15] = (totals[(number-1)&15]*31 + number) % 1000003
	}
	return totals[0]
}

//go:noinline
func parseRequest() { sink += hotLeaf(100000) }

//go:noinline
func renderReply() { sink += hotLeaf(300000) }

//go:noinline
func handleRequest() {
	parseRequest()
	renderReply()
}

//go:noinline
func keepRequest() { kept = append(kept, make([]byte, 1<<16)) }

//go:noinline
func keepReply() { kept = append(kept, make([]byte, 3<<16)) }

func allocate() {
	for {
		keepRequest()
		keepReply()
		// Enough is kept at all times: Go's heap profile knows one sample for 512 KiB.
		if len(kept) > 256 {
			kept = append([][]byte(nil), kept[128:]...)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

//go:noinline
func holdLock() {
	guard.Lock()
	time.Sleep(2 * time.Millisecond)
	guard.Unlock()
}

func contend() {
	for {
		holdLock()
		time.Sleep(time.Millisecond)
	}
}

func cpuTime() int64 {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return used.Utime.Nano() + used.Stime.Nano()
}

func count() {
	done := 0
	var told time.Time
	for {
		now := time.Now()
		if now.Sub(told) >= 100*time.Millisecond {
			fmt.Println(now.UnixNano(), cpuTime(), done)
			told = now
		}
		for each := 0; each < 100; each++ {
			sink += hotLeaf(1000)
		}
		done += 100
	}
}

func serve() {
	for {
		begun := time.Now()
		for each := 0; each < 5; each++ {
			handleRequest()
		}
		time.Sleep(3 * time.Since(begun))
	}
}

func main() {
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	go func() {
		fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
		os.Exit(1)
	}()
	if len(os.Args) > 2 && os.Args[2] == "count" {
		count()
	}
	go allocate()
	go contend()
	go contend()
	serve()
}
