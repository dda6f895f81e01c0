# What Lanyard's own token may do. Name it lanyard-broker, and give it to the role that Lanyard logs in by.

# One parent token after each kill order; leases are children of it.
path "auth/token/create/lanyard-parent" {
  capabilities = ["update"]
}

# To end leases, and to find those whose answer was lost. Vault has no narrower right for this: it holds for every
# token, so this policy is one to guard.
path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}

path "auth/token/lookup-accessor" {
  capabilities = ["update"]
}

path "auth/token/accessors" {
  capabilities = ["list", "sudo"]
}

path "auth/token/accessors/" {
  capabilities = ["list", "sudo"]
}

path "sys/leases/revoke" {
  capabilities = ["update"]
}

path "sys/leases/lookup" {
  capabilities = ["update"]
}

# To judge a policy before it is handed on, and to say what is set up wrong.
path "sys/policies/acl/*" {
  capabilities = ["read"]
}

path "sys/mounts" {
  capabilities = ["read"]
}

path "auth/token/roles/lanyard-lease" {
  capabilities = ["read"]
}

path "auth/token/roles/lanyard-parent" {
  capabilities = ["read"]
}

path "sys/capabilities-self" {
  capabilities = ["update"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
