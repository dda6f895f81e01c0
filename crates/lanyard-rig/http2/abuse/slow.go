// Peers that take their time.
package main

import (
	"io"
	"time"
)

// How long such a peer waits between two bytes.
const pause = 500 * time.Millisecond

// drip sends this, and then one byte after the other, until the daemon ends the connection.
func (c *connection) drip(first, next string) error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c.Conn)
		ended <- err
	}()
	if _, err := io.WriteString(c, first); err != nil {
		return <-ended
	}
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(pause):
			// Whether it is taken is seen by whoever reads.
			io.WriteString(c, next)
		}
	}
}

func silent(c *connection) error {
	_, err := io.Copy(io.Discard, c.Conn)
	return err
}

func slowHead(c *connection) error {
	return c.drip("GET /livez HTTP/1.1\r\nhost: lanyard\r\nx-slow: ", "x")
}

func slowBody(c *connection) error {
	return c.drip("POST /v1/kill HTTP/1.1\r\nhost: lanyard\r\ncontent-length: 1000\r\n\r\n{", " ")
}

// The first record of a handshake, announced longer than it will ever be.
func slowHandshake(c *connection) error {
	return c.drip("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00")
}
