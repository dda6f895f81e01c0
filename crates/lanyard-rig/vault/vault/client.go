package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/cliconfig"
)

// client is the client as the real command line makes it: by the environment, and with the token of the helper that
// the configuration file names where VAULT_TOKEN is not set.
func client() (*api.Client, error) {
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		return nil, err
	}
	if client.Token() != "" {
		return client, nil
	}
	helper, err := cliconfig.DefaultTokenHelper()
	if err != nil {
		return nil, err
	}
	token, err := helper.Get()
	if err != nil {
		return nil, err
	}
	client.SetToken(strings.TrimSpace(token))
	return client, nil
}

func read(arguments []string) error {
	path := arguments[len(arguments)-1]
	field, only := strings.CutPrefix(arguments[0], "-field=")
	client, err := client()
	if err != nil {
		return err
	}
	secret, err := client.Logical().Read(path)
	if err != nil {
		return err
	}
	if secret == nil {
		return fmt.Errorf("No value found at %s", path)
	}
	if only {
		fmt.Fprint(os.Stdout, secret.Data[field])
		return nil
	}
	show(secret.Data)
	return nil
}

func lookup() error {
	client, err := client()
	if err != nil {
		return err
	}
	secret, err := client.Auth().Token().LookupSelf()
	if err != nil {
		return err
	}
	show(secret.Data)
	return nil
}

func show(data map[string]any) {
	names := make([]string, 0, len(data))
	for name := range data {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("%-20s %v\n", name, data[name])
	}
}
