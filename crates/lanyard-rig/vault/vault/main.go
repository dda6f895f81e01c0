// Vault, cut down to what the tests use, built from its module: `vault server -config=FILE`, and of the command
// line `vault read PATH` and `vault token lookup`. Vault is under the Business Source License: this is a process of
// its own in tests, it is linked with nothing of Lanyard's and ships with nothing.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "server":
		file, ok := strings.CutPrefix(arguments[1], "-config=")
		if ok {
			return serve(file)
		}
	case len(arguments) > 1 && arguments[0] == "read":
		return read(arguments[1:])
	case len(arguments) == 2 && arguments[0] == "token" && arguments[1] == "lookup":
		return lookup()
	}
	return fmt.Errorf("usage: vault server -config=FILE | vault read [-field=NAME] PATH | vault token lookup")
}
