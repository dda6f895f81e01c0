# What a parent token may do. Name it lanyard-parent.
path "auth/token/create/lanyard-lease" {
  capabilities = ["update"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}
