package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/hashicorp/go-hclog"
	credentialJWT "github.com/hashicorp/vault-plugin-auth-jwt"
	credentialKubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	logicalKV "github.com/hashicorp/vault-plugin-secrets-kv"
	credentialAppRole "github.com/hashicorp/vault/builtin/credential/approle"
	logicalDatabase "github.com/hashicorp/vault/builtin/logical/database"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/physical/raft"
	databasePostgreSQL "github.com/hashicorp/vault/plugins/database/postgresql"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// config is the part of the configuration file that is read here; the file is JSON, which is also what the whole
// server of either product takes.
type config struct {
	Storage  map[string]map[string]string `json:"storage"`
	Listener map[string]struct {
		Address        string `json:"address"`
		ClusterAddress string `json:"cluster_address"`
		TLSDisable     bool   `json:"tls_disable"`
		TLSCertFile    string `json:"tls_cert_file"`
		TLSKeyFile     string `json:"tls_key_file"`
	} `json:"listener"`
	APIAddr     string `json:"api_addr"`
	ClusterAddr string `json:"cluster_addr"`
	RawStorage  bool   `json:"raw_storage_endpoint"`
}

func serve(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config config
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	logger := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Info})
	kind, storage, err := open(config.Storage, logger)
	if err != nil {
		return err
	}
	// The integrated storage is a cluster, of one here: it elects itself.
	cluster, _ := storage.(physical.HABackend)
	core, err := vault.NewCore(&vault.CoreConfig{
		HAPhysical:         cluster,
		Physical:           storage,
		StorageType:        kind,
		RedirectAddr:       config.APIAddr,
		ClusterAddr:        config.ClusterAddr,
		DisableMlock:       true,
		EnableRaw:          config.RawStorage,
		Logger:             logger,
		BuiltinRegistry:    registry{},
		CredentialBackends: credentials(),
		LogicalBackends:    map[string]logical.Factory{"kv": logicalKV.Factory, "database": logicalDatabase.Factory},
	})
	if err != nil {
		return err
	}
	listener, ok := config.Listener["tcp"]
	if !ok {
		return fmt.Errorf("no tcp listener in %s", path)
	}
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core:           core,
		ListenerConfig: &configutil.Listener{Address: listener.Address},
	})
	if listener.ClusterAddress != "" {
		address, err := net.ResolveTCPAddr("tcp", listener.ClusterAddress)
		if err != nil {
			return err
		}
		core.SetClusterListenerAddrs([]*net.TCPAddr{address})
		core.SetClusterHandler(handler)
	}
	socket, err := net.Listen("tcp", listener.Address)
	if err != nil {
		return err
	}
	if listener.TLSDisable {
		return http.Serve(socket, handler)
	}
	return http.ServeTLS(socket, handler, listener.TLSCertFile, listener.TLSKeyFile)
}

func open(storage map[string]map[string]string, logger hclog.Logger) (string, physical.Backend, error) {
	kinds := map[string]physical.Factory{
		"inmem": inmem.NewInmem,
		"file":  file.NewFileBackend,
		"raft":  raft.NewRaftBackend,
	}
	for kind, settings := range storage {
		if open, ok := kinds[kind]; ok {
			backend, err := open(settings, logger.Named("storage."+kind))
			return kind, backend, err
		}
	}
	return "", nil, fmt.Errorf("the storage is none of inmem, file and raft")
}

func credentials() map[string]logical.Factory {
	return map[string]logical.Factory{
		"approle":    credentialAppRole.Factory,
		"jwt":        credentialJWT.Factory,
		"kubernetes": credentialKubernetes.Factory,
	}
}

const postgreSQL = "postgresql-database-plugin"

// registry is what is built in besides the backends: the one database plugin.
type registry struct{}

func (registry) Contains(name string, kind consts.PluginType) bool {
	return kind == consts.PluginTypeDatabase && name == postgreSQL
}

func (r registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	if r.Contains(name, kind) {
		return databasePostgreSQL.New, true
	}
	return nil, false
}

func (registry) Keys(kind consts.PluginType) []string {
	if kind == consts.PluginTypeDatabase {
		return []string{postgreSQL}
	}
	return nil
}

func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}

func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool {
	return false
}
