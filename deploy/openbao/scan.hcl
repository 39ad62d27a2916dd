# Flow `scan`: reads what holds a credential, and changes nothing. For mounts `kv`, `approle`, `kubernetes`, `jwt` and `database`: put your own names there, and leave out
# what you do not have. Beside the server's `default` policy, by which a token looks at itself and asks what it may do.
# bao policy write claviger-scan deploy/openbao/scan.hcl

# Which engines and ways to log in there are.
path "sys/mounts" { capabilities = ["read"] }
path "sys/auth" { capabilities = ["read"] }
# What a token's policies let it do.
path "sys/policies/acl/*" { capabilities = ["read"] }
# Leases that an identity holds.
path "sys/leases/lookup" { capabilities = ["list", "sudo"] }
path "sys/leases/lookup/*" { capabilities = ["list", "sudo"] }

# Tokens: who made them, how long they live. Never their values.
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }

# Values, and their former versions.
path "kv/metadata/*" { capabilities = ["list", "read"] }
path "kv/data/*" { capabilities = ["read"] }

# Roles, and their secret-ids by accessor.
path "auth/approle/role/*" { capabilities = ["read", "list"] }
path "auth/approle/role/+/secret-id-accessor/lookup" { capabilities = ["update"] }

# Roles of logins by somebody else's token: what they ask of it.
path "auth/kubernetes/role" { capabilities = ["list"] }
path "auth/kubernetes/role/*" { capabilities = ["read"] }
path "auth/jwt/role" { capabilities = ["list"] }
path "auth/jwt/role/*" { capabilities = ["read"] }

# Accounts at databases that the server rotates, or logs in with.
path "database/config" { capabilities = ["list"] }
path "database/config/*" { capabilities = ["read"] }
path "database/static-roles" { capabilities = ["list"] }
path "database/static-roles/*" { capabilities = ["read"] }
path "database/static-creds/*" { capabilities = ["read"] }
