// A hostile client: abuse KIND FROM TO CONNECTIONS AT_A_TIME.
//
// It makes so many connections from one address of this machine to a daemon, so many at a time, and misuses each in one
// way until the daemon ends it or a minute and a half are over. It says when the first of them are under way, and at the end
// what it saw.
package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// When the last connection is given up: it was kept.
var patience = time.Now().Add(90 * time.Second)

// seen is what came of all connections.
type seen struct {
	lock  sync.Mutex
	early sync.WaitGroup
	// Connections that were made, and those that were not taken or closed before anything was said.
	Made, Refused int
	// Connections that the daemon ended, and those that it never did.
	Ended, Kept int
	// Reasons of GOAWAY, and answers by their status.
	Reasons  map[string]int
	Statuses map[string]int
	// What was sent before the end: the most on one connection, in bytes.
	MostSent int
}

// A misuse works on one connection until that ends, and says why it ended.
type misuse struct {
	protocols []string
	// Whether the handshake is part of the misuse.
	raw bool
	run func(*connection) error
}

var misuses = map[string]misuse{
	"rapid-reset":    {protocols: []string{"h2"}, run: rapidReset},
	"made-reset":     {protocols: []string{"h2"}, run: madeReset},
	"continuation":   {protocols: []string{"h2"}, run: continuation},
	"ping":           {protocols: []string{"h2"}, run: pings},
	"settings":       {protocols: []string{"h2"}, run: settings},
	"large-head":     {protocols: []string{"h2"}, run: largeHead},
	"packed-head":    {protocols: []string{"h2"}, run: packedHead},
	"no-window":      {protocols: []string{"h2"}, run: noWindow},
	"no-request":     {protocols: []string{"h2"}, run: noRequest},
	"idle":           {protocols: []string{"http/1.1"}, run: silent},
	"slow-head":      {protocols: []string{"http/1.1"}, run: slowHead},
	"slow-body":      {protocols: []string{"http/1.1"}, run: slowBody},
	"slow-handshake": {raw: true, run: slowHandshake},
}

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: abuse KIND FROM TO CONNECTIONS AT_A_TIME")
		os.Exit(2)
	}
	kind, known := misuses[os.Args[1]]
	connections, err := strconv.Atoi(os.Args[4])
	atATime, wrong := strconv.Atoi(os.Args[5])
	if !known || err != nil || wrong != nil {
		fmt.Fprintln(os.Stderr, "no such kind or number")
		os.Exit(2)
	}
	all := &seen{Reasons: map[string]int{}, Statuses: map[string]int{}}
	all.early.Add(min(connections, atATime))
	go func() {
		all.early.Wait()
		fmt.Println("under way")
	}()
	places := make(chan struct{}, atATime)
	var group sync.WaitGroup
	for number := range connections {
		places <- struct{}{}
		group.Go(func() {
			all.one(kind, os.Args[2], os.Args[3], number < atATime)
			<-places
		})
	}
	group.Wait()
	json.NewEncoder(os.Stdout).Encode(all)
}

// connection is one of them, and what was sent and heard on it.
type connection struct {
	net.Conn
	*http2.Framer
	all  *seen
	sent int
}

func (c *connection) Write(bytes []byte) (int, error) {
	count, err := c.Conn.Write(bytes)
	c.sent += count
	return count, err
}

func (all *seen) one(kind misuse, from, to string, early bool) {
	c := all.made(kind, from, to)
	if early {
		all.early.Done()
	}
	if c == nil {
		all.count(func() { all.Refused++ })
		return
	}
	defer c.Close()
	all.count(func() { all.Made++ })
	err := kind.run(c)
	all.count(func() {
		all.MostSent = max(all.MostSent, c.sent)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			all.Kept++
		} else {
			all.Ended++
		}
	})
}

// made connects, and is nothing when that is refused.
func (all *seen) made(kind misuse, from, to string) *connection {
	dialer := net.Dialer{Deadline: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	tcp, err := dialer.Dial("tcp", to)
	if err != nil {
		return nil
	}
	tcp.SetDeadline(patience)
	c := &connection{Conn: tcp, all: all}
	if !kind.raw {
		secured := tls.Client(tcp, &tls.Config{InsecureSkipVerify: true, NextProtos: kind.protocols})
		if secured.Handshake() != nil {
			tcp.Close()
			return nil
		}
		c.Conn = secured
	}
	c.Framer = http2.NewFramer(c, c.Conn)
	return c
}

func (all *seen) count(what func()) {
	all.lock.Lock()
	defer all.lock.Unlock()
	what()
}
