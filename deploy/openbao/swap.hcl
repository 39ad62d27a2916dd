# Flow `swap`, beside `scan`: a short-lived login takes the place of a token, of a secret-id, or of a database's password. What is made has a name that begins with
# `claviger-`, and nothing else is changed.
# Beside the server's `default` policy, by which a lease is asked when it ends.
# Whoever may write such a role can let any account of the cluster in with any policy: bind it for the time of a swap.

# A role that lets one ServiceAccount in, with the policies that the static credential had.
path "auth/kubernetes/role/claviger-*" { capabilities = ["read", "create", "delete"] }

# A token: its lookup by value before and after, and its end. A login that was tried ends by its accessor too.
path "auth/token/lookup" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }

# A secret-id: whose is it, its end, and by the rule above the end of the tokens that it gave.
path "auth/approle/role/+/secret-id/lookup" { capabilities = ["update"] }
path "auth/approle/role/+/secret-id-accessor/destroy" { capabilities = ["update"] }

# A database's password: accounts that are lent by a role, a policy that lets the login take them, and the end of all where the swap is taken back.
path "database/roles/claviger-*" { capabilities = ["read", "create", "delete"] }
path "sys/policies/acl/claviger-*" { capabilities = ["read", "update", "delete"] }
path "sys/leases/revoke-prefix/database/creds/claviger-*" { capabilities = ["update", "sudo"] }
