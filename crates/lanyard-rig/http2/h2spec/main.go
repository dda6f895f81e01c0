// h2spec, as its authors wrote it, against one address over TLS: h2spec HOST PORT PATH.
// Its own report is for people; on stderr comes a line for each case: what came of it, where it is from, and what it is about.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: h2spec HOST PORT PATH")
		os.Exit(2)
	}
	port, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	against := &config.Config{
		Host:         os.Args[1],
		Port:         port,
		Path:         os.Args[3],
		Timeout:      5 * time.Second,
		MaxHeaderLen: 4000,
		Strict:       true,
		TLS:          true,
		Insecure:     true,
	}
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		group.Test(against)
		list(group)
	}
}

func list(group *spec.TestGroup) {
	for _, test := range append(group.Tests, group.StrictTests...) {
		said := "passed"
		switch {
		case test.Result.Failed:
			said = "failed"
		case test.Result.Skipped:
			said = "skipped"
		}
		fmt.Fprintf(os.Stderr, "%s %s/%d %s\n", said, group.ID(), test.Result.Sequence, test.Desc)
	}
	for _, inner := range group.Groups {
		list(inner)
	}
}
