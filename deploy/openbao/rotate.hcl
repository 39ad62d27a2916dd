# Flow `rotate`, beside `scan`.

# The new value, under the version that was read.
path "kv/data/*" { capabilities = ["update"] }

# A secret-id that is followed by another one: whose is it, what follows it, its end.
path "auth/approle/role/+/secret-id/lookup" { capabilities = ["update"] }
path "auth/approle/role/+/custom-secret-id" { capabilities = ["update"] }
path "auth/approle/role/+/secret-id-accessor/destroy" { capabilities = ["update"] }

# A token that is followed by another one: whose is it, its end; made by its role where it has one, else as an orphan with the same policies. The latter takes `sudo`, and may
# thereby make a token with any policy but `root`: leave it out where all tokens come from roles.
path "auth/token/lookup" { capabilities = ["update"] }
path "auth/token/create/+" { capabilities = ["update"] }
path "auth/token/roles/+" { capabilities = ["read"] }
path "auth/token/create-orphan" { capabilities = ["update", "sudo"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }

# An account that the database engine rotates when asked.
path "database/rotate-role/*" { capabilities = ["update"] }
